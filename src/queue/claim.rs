//! A pending job becomes a running one.
use jiff::Timestamp;

use super::QueueError;
use super::lease::{Lease, expiry};
use crate::model::LeaseId;
use crate::model::job::{Event, Status, next};
use crate::store::{Durability, JobRow, Store, StoreError, Tx, job_moves};

/// What holds claims back. Limits of a pipeline and of groups are recorded with each job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Jobs that run at once; parked ones do not count.
    pub max_running: u32,
}

/// A job and the lease under which it is driven.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The job as it is now.
    pub job: JobRow,
    /// The lease.
    pub lease: Lease,
}

/// Takes the next job, if one may start: of the team with the fewest running, the oldest.
///
/// Survives `kill -9`, not more: after a power loss the job is pending again, and nothing of it ran.
pub async fn claim(store: &Store, owner: &str, limits: Limits) -> Result<Option<Claimed>, QueueError> {
    // Every commit wakes the scheduler: what nobody waits for must not take the one writer's time.
    let now = store.clock().now();
    if !store.read(move |view| job_moves::worth_a_claim(view, now, limits.max_running)).await? {
        return Ok(None);
    }
    let owner = owner.to_owned();
    Ok(store.write("queue.claim", Durability::Progress, move |tx| claim_in(tx, &owner, limits)).await?)
}

pub(super) fn claim_in(tx: &Tx<'_>, owner: &str, limits: Limits) -> Result<Option<Claimed>, StoreError> {
    debug_assert!(next(Status::Pending, &Event::Claimed).is_ok_and(|n| n.status == Status::Running));
    let now = tx.now();
    let id = LeaseId::from_uuid(tx.uuid());
    let lease = job_moves::Lease { id, owner, now, expires: expiry(now) };
    let job = job_moves::claim(tx, lease, limits.max_running)?;
    Ok(job.map(|job| Claimed { lease: Lease { job: job.id, id }, job }))
}

/// When the next waiting retry becomes eligible: how long a scheduler may sleep at most.
pub async fn next_run_after(store: &Store) -> Result<Option<Timestamp>, QueueError> {
    let now = store.clock().now();
    Ok(store.read(move |view| job_moves::next_run_after(view, now)).await?)
}
