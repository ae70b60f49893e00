use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::artifacts::Digest;
use crate::model::JobId;
use crate::model::trigger::{RepoEvent, Trigger};

/// Everything that is signed about a job. The orchestrator fills it from rows and from digests of
/// the bytes that the master stored, never from what a step says, and redacts parameters first.
#[derive(Clone, Debug)]
pub struct JobFacts {
    /// Who built.
    pub builder: Builder,
    /// The job's id.
    pub job_id: JobId,
    /// The attempt that ended; 0 if none began.
    pub attempt: u32,
    /// The pipeline's name.
    pub pipeline: String,
    /// What was built.
    pub source: Source,
    /// Why the job exists.
    pub trigger: Trigger,
    /// What happened in the repository, if anything did.
    pub event: Option<RepoEvent>,
    /// Parameters of the trigger.
    pub params: BTreeMap<String, String>,
    /// The configuration in force.
    pub config: ConfigRevision,
    /// Images of the steps that ran; order and repetition do not matter.
    pub images: Vec<Image>,
    /// Names of the secrets that the job read, never their values.
    pub secret_names: Vec<String>,
    /// Names of the hosts that the job reached.
    pub contacted_hosts: Vec<String>,
    /// The kind of executor: `local` or `kubernetes`.
    pub executor: String,
    /// How far the steps were apart from the machine and from each other.
    pub isolation: Isolation,
    /// When the first attempt began; none if the job never ran.
    pub started_on: Option<Timestamp>,
    /// When the job ended.
    pub finished_on: Timestamp,
    /// The sealed logs.
    pub logs: Vec<LogFile>,
    /// Artifacts by their names and the digests of the stored bytes.
    pub artifacts: Vec<Output>,
    /// Pushed images by repository and manifest digest.
    pub pushed_images: Vec<Output>,
}

/// The builder: this installation, and the version that ran.
#[derive(Clone, Debug)]
pub struct Builder {
    /// Its id, from `builder_id`.
    pub id: String,
    /// The version of Danube.
    pub version: String,
}

/// The id that verifiers expect: below the public URL, or the instance's own name where none is set.
pub fn builder_id(public_url: Option<&str>, instance_id: &str) -> String {
    match public_url {
        Some(url) => format!("{}/builder/v1", url.trim_end_matches('/')),
        None => format!("urn:danube:{instance_id}"),
    }
}

/// What was built.
#[derive(Clone, Debug)]
pub struct Source {
    /// The repository as the pipeline names it; credentials in it are left out of what is signed.
    pub repository: String,
    /// The full ref, such as `refs/heads/main`; none if a bare commit was asked for.
    pub git_ref: Option<String>,
    /// The commit that was checked out.
    pub commit: String,
    /// Path of the danubefile.
    pub script: String,
}

/// The configuration that was in force.
#[derive(Clone, Debug)]
pub struct ConfigRevision {
    /// The config repo as the host names it; credentials in it are left out of what is signed.
    pub repository: String,
    /// The full ref of its branch.
    pub git_ref: String,
    /// The commit.
    pub commit: String,
    /// Digest of the pipeline's snapshot that is kept with the job.
    pub snapshot: Digest,
}

/// What a step ran in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Image {
    /// The machine's own files: known by no digest and not isolated in content.
    Host,
    /// An image, resolved to the digest that was run.
    Oci {
        /// The reference as the danubefile gave it.
        reference: String,
        /// Digest of its manifest.
        digest: Digest,
    },
}

/// What held the steps, as far as it differs from the full isolation.
#[derive(Clone, Debug, Default)]
pub struct Isolation {
    /// Limits and walls that this machine could not enforce, by name.
    pub not_enforced: Vec<String>,
    /// What a pipeline was allowed beyond the usual, such as `step 3: capability SETFCAP`.
    pub privileges: Vec<String>,
}

/// A sealed log and the digest of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    pub(super) name: String,
    pub(super) sha256: Digest,
}

impl LogFile {
    /// The log of one attempt of a step.
    pub fn step(number: u32, attempt: u32, sha256: Digest) -> Self {
        Self { name: format!("steps/{number}.{attempt}.log"), sha256 }
    }

    /// The coordinator's log in one attempt of the job.
    pub fn coordinator(attempt: u32, sha256: Digest) -> Self {
        Self { name: format!("coordinator.{attempt}.log"), sha256 }
    }
}

/// Something that the job made.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Digest of its bytes.
    pub sha256: Digest,
}

#[cfg(test)]
pub(super) fn example() -> JobFacts {
    let commit = |c: char| c.to_string().repeat(40);
    JobFacts {
        builder: Builder {
            id: builder_id(Some("https://danube.example.com/"), "1f2e3d4c"),
            version: "0.1.0".to_owned(),
        },
        job_id: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        attempt: 2,
        pipeline: "frontend".to_owned(),
        source: Source {
            repository: "https://git.example.com/team/frontend.git".to_owned(),
            git_ref: Some("refs/heads/main".to_owned()),
            commit: commit('a'),
            script: "danubefile.py".to_owned(),
        },
        trigger: Trigger::Webhook,
        event: Some(RepoEvent::Push),
        params: BTreeMap::from([("level".to_owned(), "full".to_owned())]),
        config: ConfigRevision {
            repository: "git@git.example.com:ops/danube-config.git".to_owned(),
            git_ref: "refs/heads/main".to_owned(),
            commit: commit('b'),
            snapshot: Digest::of(b"snapshot"),
        },
        images: vec![
            Image::Oci { reference: "node:22".to_owned(), digest: Digest::of(b"node") },
            Image::Host,
            Image::Oci { reference: "node:22".to_owned(), digest: Digest::of(b"node") },
        ],
        secret_names: vec!["NPM_TOKEN".to_owned(), "DEPLOY_TOKEN".to_owned()],
        contacted_hosts: vec!["registry.example.com".to_owned()],
        executor: "local".to_owned(),
        isolation: Isolation {
            not_enforced: vec!["memory".to_owned()],
            privileges: vec!["step 1: capability SETFCAP".to_owned()],
        },
        started_on: Some("2026-01-02T03:04:05Z".parse().unwrap()),
        finished_on: "2026-01-02T03:14:05.25Z".parse().unwrap(),
        logs: vec![LogFile::step(1, 1, Digest::of(b"log")), LogFile::coordinator(2, Digest::of(b"coordinator"))],
        artifacts: vec![Output { name: "app.tar.gz".to_owned(), sha256: Digest::of(b"app") }],
        pushed_images: Vec::new(),
    }
}
