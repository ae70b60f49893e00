use std::io;
use std::path::PathBuf;

use crate::artifacts::Digest;

/// Why a text is not a usable Ed25519 key.
#[derive(Debug, thiserror::Error)]
pub enum BadPem {
    /// A private key stands where a public one is needed.
    #[error("it holds a private key; give the public key, usually signing.key.pub")]
    PrivateKey,
    /// A public key stands where the private one is needed.
    #[error("it holds a public key; the signing key begins with BEGIN PRIVATE KEY")]
    PublicKey,
    /// Neither a damaged nor a foreign key can be used.
    #[error("it is not an Ed25519 key in PEM: {0}")]
    Invalid(String),
    /// The point is of small order: anybody could sign for it.
    #[error("it is a weak Ed25519 key, for which anybody could sign; make a new one")]
    Weak,
}

/// Why a key file is not used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is missing or the system refuses it.
    #[error("could not {action} the key file {}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// A directory, pipe or device stands in its place.
    #[error("the key {} is not a file", path.display())]
    NotAFile {
        /// What was found there.
        path: PathBuf,
    },
    /// Others may read or change the private key, or its owner's bits are unusual.
    #[error("the key file {} has mode {mode:04o}, but only its owner may read it: run `chmod 600 {}`", path.display(), path.display())]
    WrongMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Shorter or longer than any key.
    #[error("the key file {} has {size} bytes, which is too {}; restore it from a backup", path.display(), if *size < 100 { "short" } else { "long" })]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// The text in the file is no key of the kind that is needed.
    #[error("the key file {} cannot be used", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with the text.
        source: BadPem,
    },
    /// The public half is there and the private one is not.
    #[error("the signing key {} is missing, but its public half is there: restore it from a backup, or move {}.pub away to begin with a new key", path.display(), path.display())]
    Lost {
        /// The private key's file.
        path: PathBuf,
    },
    /// The two halves do not belong together.
    #[error("{}.pub is not the public half of {}: restore the pair from a backup", path.display(), path.display())]
    Mismatch {
        /// The private key's file.
        path: PathBuf,
    },
}

/// A payload that no verifier would read, so it is not signed.
#[derive(Debug, thiserror::Error)]
#[error(
    "the statement has {size} bytes, more than the {limit} that verifiers read; report fewer outputs, parameters or hosts"
)]
pub struct TooLarge {
    /// Size of the payload in bytes.
    pub size: usize,
    /// The largest payload in bytes.
    pub limit: usize,
}

/// Why an attestation is refused. Texts from the attestation may be hostile: escape them for terminals.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// More bytes than any attestation of ours.
    #[error("the attestation is larger than {limit} bytes")]
    EnvelopeTooLarge {
        /// The largest envelope in bytes.
        limit: usize,
    },
    /// Not a DSSE envelope in its one strict form.
    #[error("the attestation is not a DSSE envelope: {0}")]
    BadEnvelope(String),
    /// Nothing in the envelope claims to be by the pinned key.
    #[error("it is not signed by the given key {keyid}, but by {found}")]
    OtherKey {
        /// Id of the pinned key.
        keyid: String,
        /// Ids in the envelope.
        found: String,
    },
    /// Payload, payload type or signature were changed.
    #[error("the signature by {keyid} does not fit the content: the attestation was changed")]
    BadSignature {
        /// Id of the pinned key.
        keyid: String,
    },
    /// Signed, but not as an in-toto statement.
    #[error("the payload type is {0:?}, not an in-toto statement")]
    WrongPayloadType(String),
    /// Signed, but not readable as a statement.
    #[error("the payload is not an in-toto statement: {0}")]
    BadStatement(String),
    /// A statement of another version or kind.
    #[error("the statement type is {0:?}, not in-toto Statement v1")]
    WrongStatementType(String),
    /// A job record: genuine, but not provenance.
    #[error("this is a job record (status {status}), not provenance: it vouches for no artifact{}", .continued.as_ref().map(|job| format!("; the job went on in the workspace that {job} had left, so nothing shows that its commit alone made this. A rerun of all of it has provenance: danube job rerun {job}")).unwrap_or_default())]
    JobRecord {
        /// How the job ended.
        status: String,
        /// The earlier job in whose workspace it went on.
        continued: Option<String>,
    },
    /// Another predicate.
    #[error("the predicate type is {0:?}, not SLSA provenance v1")]
    WrongPredicate(String),
    /// Provenance in which a required part is missing or unknown.
    #[error("the provenance is not complete: {0}")]
    BadPredicate(String),
    /// The file is not among the job's outputs.
    #[error("the file's SHA-256 is {file}; the attestation speaks of {subjects}")]
    DigestMismatch {
        /// Digest of the given file.
        file: Digest,
        /// The subjects, shortened.
        subjects: String,
    },
    /// Another builder.
    #[error("built by {found}, not by {expected}")]
    WrongBuilder {
        /// The builder asked for.
        expected: String,
        /// The builder attested.
        found: String,
    },
    /// Another repository.
    #[error("built from {found}, not from {expected}")]
    WrongSource {
        /// The repository asked for.
        expected: String,
        /// The repository attested.
        found: String,
    },
    /// Another branch, tag or commit.
    #[error(
        "built from {found}, not from {expected}; a branch may be given by its short name, a tag as refs/tags/NAME, a commit as its full id"
    )]
    WrongRef {
        /// The ref asked for.
        expected: String,
        /// The ref and commit attested.
        found: String,
    },
    /// Parameters and resolved dependencies name different sources.
    #[error("it contradicts itself: its parameters name {parameters}, its dependencies {dependency}")]
    InconsistentSource {
        /// Source by the external parameters.
        parameters: String,
        /// Source by the resolved dependencies.
        dependency: String,
    },
    /// A build type whose parameters we do not know.
    #[error("the build type {0:?} is unknown to this version")]
    UnknownBuildType(String),
    /// Times that cannot be true.
    #[error("{0}")]
    BadTimes(String),
}
