//! What can go wrong while a job is driven.
use crate::artifacts;
use crate::executor::ExecutorError;
use crate::queue::QueueError;
use crate::store::StoreError;

/// Why a call of a danubefile is not answered as it hoped. The text is shown beside the user's line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The call itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// What it names is not there, or not for this job.
    #[error("{0}")]
    NotFound(String),
    /// The job may not do that.
    #[error("{0}")]
    Denied(String),
    /// Another call is recorded under the same key.
    #[error("{0}")]
    Nondeterministic(String),
    /// The job has used up a bound.
    #[error("{0}")]
    Exhausted(String),
    /// The job is being ended.
    #[error("the job is being stopped")]
    Cancelled,
    /// Nothing is wrong with the call: the same one may be sent again.
    #[error("{0}")]
    Unavailable(String),
}

impl From<StoreError> for CallError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(chain(&error))
    }
}

/// Why the driver of a job had to give up without an end of the job.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The database gave no answer.
    #[error("could not keep the state of the job")]
    Store(#[from] StoreError),
    /// The queue refused; `LeaseLost` where another master drives the job now.
    #[error("could not move the job")]
    Queue(#[from] QueueError),
    /// The executor could not do its part.
    #[error("the executor could not {what}")]
    Executor {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: ExecutorError,
    },
    /// A file of the master could not be used.
    #[error("could not {what} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        what: &'static str,
        /// On which file.
        path: std::path::PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The secrets of the job could not be read.
    #[error("could not read the secrets of the job: {0}")]
    Secrets(String),
    /// The artifacts of the job could not be handled.
    #[error("could not handle the artifacts of the job")]
    Artifacts(#[from] artifacts::Error),
    /// The job's record could not be signed.
    #[error("could not sign the record of the job: {0}")]
    Record(String),
}

/// An error with its causes, as one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
