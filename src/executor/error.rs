//! What can go wrong when something is run.
use serde::{Deserialize, Serialize};

/// Why an executor could not do what it was asked. Serialisable: it crosses the executor's socket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", content = "detail", rename_all = "snake_case")]
pub enum ExecutorError {
    /// The image can't be had.
    #[error("the image '{image}' is not available: {reason}")]
    ImageUnavailable {
        /// As the danubefile names it.
        image: String,
        /// And what to do.
        reason: String,
    },
    /// The image could not be fetched this time.
    #[error("the image '{image}' could not be fetched: {reason}")]
    ImagePull {
        /// As the danubefile names it.
        image: String,
        /// What happened.
        reason: String,
    },
    /// The executor's own policy, set by root, does not give that.
    #[error("the executor's policy does not allow this: {0}")]
    PolicyDenied(String),
    /// The danubefile or the workspace is at fault; shown to the user as it is.
    #[error("{0}")]
    User(String),
    /// A container could not be started.
    #[error("could not start: {0}")]
    Start(String),
    /// The job, step or executor is gone.
    #[error("lost: {0}")]
    Lost(String),
    /// Something was killed and has not ended yet. Asked again, the same request goes on.
    #[error("still running: {0}")]
    Running(String),
    /// No space is left where workspaces live.
    #[error("no space left for the job: {0}")]
    OutOfSpace(String),
}

impl ExecutorError {
    /// The same request may go well on another attempt.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::ImagePull { .. } | Self::Start(_) | Self::Lost(_) | Self::Running(_) | Self::OutOfSpace(_))
    }
}
