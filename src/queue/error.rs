//! What goes wrong in the queue.
use crate::model::job::{IllegalTransition, Status};
use crate::model::{JobId, LeaseId};
use crate::store::StoreError;

/// Why a job was not moved.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The job is leased to somebody else or ended: its driver must stop without writing more.
    #[error("job {job} is no longer held by lease {lease}; another master took it over, or it has ended")]
    LeaseLost {
        /// The job.
        job: JobId,
        /// The lease that was shown.
        lease: LeaseId,
    },
    /// The job has ended.
    #[error("job {job} has already ended as {status}")]
    AlreadyTerminal {
        /// The job.
        job: JobId,
        /// How it ended.
        status: Status,
    },
    /// The event cannot happen to the job: a mistake in the calling code.
    #[error("job {job} was not moved")]
    Illegal {
        /// The job.
        job: JobId,
        /// The event and the state.
        source: IllegalTransition,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}
