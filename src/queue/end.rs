//! An attempt ends: for good, or to be tried again.
use jiff::{SignedDuration, Timestamp};

use super::QueueError;
use super::lease::Lease;
use crate::model::job::{Event, IllegalTransition, Next, Status, next};
use crate::model::step::{Cause, StepStatus};
use crate::store::{
    Durability, JobRow, Store, StoreError, Tx, annotations, artifacts, egress, job_moves, job_secrets, jobs, journal,
    registry, steps, test_reports,
};

/// The outcome of a write under a lease, decided inside its transaction.
enum Written<T> {
    Done(T),
    LeaseLost,
    Ended(Status),
    Illegal(IllegalTransition),
}

impl<T> Written<T> {
    fn into_result(self, lease: Lease) -> Result<T, QueueError> {
        match self {
            Self::Done(value) => Ok(value),
            Self::LeaseLost => Err(lease.lost()),
            Self::Ended(status) => Err(QueueError::AlreadyTerminal { job: lease.job, status }),
            Self::Illegal(source) => Err(QueueError::Illegal { job: lease.job, source }),
        }
    }
}

/// Ends a job by an event that leads to a terminal status; durable when it returns.
///
/// Steps that are open still are ended with it, and its run-time secrets are forgotten.
pub async fn finish(store: &Store, lease: Lease, event: Event, reason: Option<String>) -> Result<Status, QueueError> {
    let written = store
        .write("queue.finish", Durability::Acknowledged, move |tx| written_in(tx, lease, event, reason.as_deref()))
        .await?;
    written.into_result(lease)
}

/// `finish` within a transaction. None: the lease is not held, or the event does not end the job.
pub(super) fn finish_in(
    tx: &Tx<'_>,
    lease: Lease,
    event: Event,
    reason: Option<&str>,
) -> Result<Option<Status>, StoreError> {
    Ok(match written_in(tx, lease, event, reason)? {
        Written::Done(status) => Some(status),
        Written::LeaseLost | Written::Ended(_) | Written::Illegal(_) => None,
    })
}

fn written_in(tx: &Tx<'_>, lease: Lease, event: Event, reason: Option<&str>) -> Result<Written<Status>, StoreError> {
    let job = match fence(tx, lease)? {
        Fence::Held(job) => job,
        Fence::Ended(status) => return Ok(Written::Ended(status)),
        Fence::Lost => return Ok(Written::LeaseLost),
    };
    // A request that was taken is kept: `cancel` takes none once the end is decided.
    let (event, reason) = match job.cancel_requested_at {
        Some(_) => (Event::Stopped, job.reason.as_deref()),
        None => (event, reason),
    };
    match next(job.status, &event) {
        Ok(to) if to.status.is_terminal() => end(tx, lease, to, reason),
        Ok(_) => Ok(Written::Illegal(IllegalTransition { from: job.status, event })),
        Err(source) => Ok(Written::Illegal(source)),
    }
}

/// What became of a job whose attempt was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It waits for its next attempt.
    Retried {
        /// Not before.
        run_after: Timestamp,
    },
    /// It ended: no attempt was left, or its end was asked for meanwhile.
    Ended(Status),
}

/// Notes that infrastructure lost the attempt: back to pending while attempts are left; durable when it returns.
///
/// The next attempt starts from nothing, so the journal is emptied in the same transaction.
pub async fn lost(store: &Store, lease: Lease, reason: String) -> Result<Lost, QueueError> {
    lost_until(store, lease, reason, retry_at).await
}

/// `lost` because the machine was restarted: it is there again, so the next attempt waits for nothing.
pub async fn lost_to_restart(store: &Store, lease: Lease, reason: String) -> Result<Lost, QueueError> {
    lost_until(store, lease, reason, |now, _| now).await
}

async fn lost_until(
    store: &Store,
    lease: Lease,
    reason: String,
    next: fn(Timestamp, u32) -> Timestamp,
) -> Result<Lost, QueueError> {
    let written = store
        .write("queue.lost", Durability::Acknowledged, move |tx| match fence(tx, lease)? {
            Fence::Held(job) => lose(tx, lease, &job, &reason, next(tx.now(), job.attempt)),
            Fence::Ended(status) => Ok(Written::Ended(status)),
            Fence::Lost => Ok(Written::LeaseLost),
        })
        .await?;
    written.into_result(lease)
}

fn lose(
    tx: &Tx<'_>,
    lease: Lease,
    job: &JobRow,
    reason: &str,
    run_after: Timestamp,
) -> Result<Written<Lost>, StoreError> {
    // Nobody wants the next attempt of a job whose end was asked for.
    let event = if job.cancel_requested_at.is_some() {
        Event::Stopped
    } else {
        Event::Lost { attempts_left: job.attempt < job.max_attempts }
    };
    let to = match next(job.status, &event) {
        Ok(to) => to,
        Err(source) => return Ok(Written::Illegal(source)),
    };
    if to.status.is_terminal() {
        // Who asked says more than what was lost meanwhile.
        let why = job.reason.as_deref().filter(|_| to.status == Status::Cancelled).unwrap_or(reason);
        return Ok(match end(tx, lease, to, Some(why))? {
            Written::Done(status) => Written::Done(Lost::Ended(status)),
            _ => Written::LeaseLost,
        });
    }
    if !job_moves::retry(tx, lease.job, lease.id, run_after, reason)? {
        return Ok(Written::LeaseLost);
    }
    steps::close_open(tx, lease.job, StepStatus::Failure, Some(Cause::Infra), reason)?;
    journal::clear(tx, lease.job)?;
    artifacts::delete_of_job(tx, lease.job)?;
    registry::delete_of_job(tx, lease.job)?;
    annotations::delete_of_job(tx, lease.job)?;
    egress::delete_of_job(tx, lease.job)?;
    test_reports::delete_of_job(tx, lease.job)?;
    job_secrets::delete_of_job(tx, lease.job)?;
    Ok(Written::Done(Lost::Retried { run_after }))
}

/// One minute, doubled with each attempt, a day at most.
fn retry_at(now: Timestamp, attempt: u32) -> Timestamp {
    let minutes = 1_i64.checked_shl(attempt.min(20)).unwrap_or(i64::MAX).min(24 * 60);
    now.checked_add(SignedDuration::from_mins(minutes)).unwrap_or(Timestamp::MAX)
}

fn end(tx: &Tx<'_>, lease: Lease, to: Next, reason: Option<&str>) -> Result<Written<Status>, StoreError> {
    if !job_moves::end(tx, lease.job, lease.id, to, reason)? {
        return Ok(Written::LeaseLost);
    }
    let (status, why) = match to.status {
        Status::Timeout => (StepStatus::Timeout, "the job's time was up"),
        Status::Failure => (StepStatus::Cancelled, "the job failed"),
        _ => (StepStatus::Cancelled, "the job ended"),
    };
    steps::close_open(tx, lease.job, status, None, why)?;
    job_secrets::delete_of_job(tx, lease.job)?;
    Ok(Written::Done(to.status))
}

/// What a lease is still worth.
enum Fence {
    Held(Box<JobRow>),
    Ended(Status),
    Lost,
}

fn fence(tx: &Tx<'_>, lease: Lease) -> Result<Fence, StoreError> {
    let job = jobs::get(tx, lease.job)?;
    Ok(if job.status.is_terminal() {
        Fence::Ended(job.status)
    } else if job.lease_id == Some(lease.id) {
        Fence::Held(Box::new(job))
    } else {
        Fence::Lost
    })
}
