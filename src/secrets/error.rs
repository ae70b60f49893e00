//! What goes wrong with secrets. No text here ever holds a value.
use std::path::PathBuf;

use crate::store::StoreError;

/// Why a secret could not be set or read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The key file is not as it must be.
    #[error("the encryption key {path} cannot be used: {why}; {fix}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do.
        fix: String,
    },
    /// A name that cannot be a secret's.
    #[error(
        "'{key}' cannot be the name of a secret: use 1 to 128 letters, digits and underscores, not beginning with a digit"
    )]
    BadKey {
        /// The name, cut.
        key: String,
    },
    /// A value that is refused.
    #[error("the value of the secret '{key}' is refused: {why}")]
    BadValue {
        /// The secret.
        key: String,
        /// The rule it breaks.
        why: String,
    },
    /// Not there, or not for this job: the two look the same.
    #[error(
        "the pipeline '{pipeline}' has no secret '{key}' here: store it with `danube secret set`, and name it under \
         `secrets` in the pipeline's document for this branch; jobs of forks get none"
    )]
    NotAvailable {
        /// The pipeline.
        pipeline: String,
        /// The secret.
        key: String,
    },
    /// Danube itself needs a secret that is not stored.
    #[error("the configuration names the secret '{key}', which is not stored: danube secret set {key} --global")]
    NotStored {
        /// The secret.
        key: String,
    },
    /// The stored value does not decrypt.
    #[error(
        "the stored value of the secret '{key}' is damaged or was encrypted with another key; set it again: {command}"
    )]
    Damaged {
        /// The secret.
        key: String,
        /// The command that sets it.
        command: String,
    },
    /// A `run` on this machine has no such secret.
    #[error("there is no secret '{key}': put {key}=… into the file given by --secrets, or set DANUBE_SECRET_{key}")]
    NotGiven {
        /// The secret.
        key: String,
    },
    /// The file of `--secrets` is not as it must be.
    #[error("the secrets file {path} cannot be used: {why}")]
    PlainFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A pattern of the pipeline's document cannot be read.
    #[error("the pipeline '{pipeline}' grants '{key}' on the branch pattern '{pattern}', which is no glob: {why}")]
    BadPattern {
        /// The pipeline.
        pipeline: String,
        /// The secret.
        key: String,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}
