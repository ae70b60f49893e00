//! Somebody, or a newer job, asks for the end of a job.
use super::QueueError;
use crate::model::job::{Event, Status, next};
use crate::model::step::{Cause, StepStatus};
use crate::model::{JobId, Principal};
use crate::store::{Durability, JobRow, Store, StoreError, Tx, job_moves, jobs, steps};

/// Who cancels what a newer job supersedes.
pub const SYSTEM: &str = "system";

/// What a request for the end of a job came to. Asking twice is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It waited and has ended.
    AtOnce,
    /// It runs and is being stopped.
    Requested,
    /// It was being stopped already.
    AlreadyRequested,
    /// Its danubefile had ended before, or its time was up: it ends as said; nothing changed.
    AlreadyDecided(Status),
    /// It had ended before, as said; nothing changed.
    AlreadyEnded(Status),
}

/// Asks for the end of a job; durable when it returns.
pub async fn cancel(store: &Store, job: JobId, by: Principal) -> Result<Cancelled, QueueError> {
    Ok(store.write("queue.cancel", Durability::Acknowledged, move |tx| cancel_in(tx, job, &by)).await?)
}

/// `cancel` within the transaction of its cause (a closed pull request).
pub fn cancel_in(tx: &Tx<'_>, job: JobId, by: &Principal) -> Result<Cancelled, StoreError> {
    let label = by.label();
    cancel_job(tx, &jobs::get(tx, job)?, &label, &format!("cancelled by {label}"))
}

pub(super) fn cancel_job(tx: &Tx<'_>, job: &JobRow, by: &str, reason: &str) -> Result<Cancelled, StoreError> {
    let Ok(to) = next(job.status, &Event::CancelRequested) else {
        return Ok(Cancelled::AlreadyEnded(job.status));
    };
    if to.status == Status::Cancelled {
        job_moves::cancel_pending(tx, job.id, by, reason)?;
        return Ok(Cancelled::AtOnce);
    }
    if job.cancel_requested_at.is_none()
        && let Some(status) = decided(tx, job)?
    {
        return Ok(Cancelled::AlreadyDecided(status));
    }
    let first = job_moves::request_cancel(tx, job.id, by, reason)?;
    Ok(if first { Cancelled::Requested } else { Cancelled::AlreadyRequested })
}

/// How a running job ends, where that stands: in the row of its danubefile, written before anything is cleared away.
///
/// Whichever is written first wins, that row or the request: `finish` ends as cancelled what was asked to end.
fn decided(tx: &Tx<'_>, job: &JobRow) -> Result<Option<Status>, StoreError> {
    let row = steps::find_last(tx, job.id, 0)?.filter(|row| row.job_attempt == job.attempt);
    Ok(row.and_then(|row| match row.status {
        StepStatus::Pending | StepStatus::Running => None,
        // Lost: it is started again, or the attempt is.
        StepStatus::Failure if row.cause == Some(Cause::Infra) => None,
        StepStatus::Failure | StepStatus::Skipped => Some(Status::Failure),
        StepStatus::Success => Some(Status::Success),
        StepStatus::Cancelled => Some(Status::Cancelled),
        StepStatus::Timeout => Some(Status::Timeout),
    }))
}
