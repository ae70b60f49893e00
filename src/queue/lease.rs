//! Leases: who drives a job, and the proof of it in every write.
use std::collections::HashSet;

use jiff::Timestamp;

use super::{Claimed, QueueError};
use crate::model::job::{Event, next};
use crate::model::{JobId, LeaseId};
use crate::store::{Durability, Store, StoreError, Tx, job_moves, jobs};

/// How long a lease lasts without a renewal. Drivers renew every quarter of it, in monotonic time.
pub(super) const LEASE_SECONDS: i64 = 60;

/// A claim of a job: shown with every write of its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The fence.
    pub id: LeaseId,
}

impl Lease {
    /// The error of a write whose lease is not held.
    pub(super) const fn lost(self) -> QueueError {
        QueueError::LeaseLost { job: self.job, lease: self.id }
    }

    /// `Ok` where a write under this lease found its row.
    pub(super) const fn held(self, written: bool) -> Result<(), QueueError> {
        if written { Ok(()) } else { Err(self.lost()) }
    }
}

/// When a lease taken or renewed at `now` expires.
pub(super) fn expiry(now: Timestamp) -> Timestamp {
    now.checked_add(jiff::SignedDuration::from_secs(LEASE_SECONDS)).unwrap_or(Timestamp::MAX)
}

/// Shows that the driver lives. Survives `kill -9`, not more: a new master voids every lease anyway.
pub async fn renew(store: &Store, lease: Lease) -> Result<(), QueueError> {
    let held = store
        .write("queue.renew", Durability::Progress, move |tx| {
            let now = tx.now();
            job_moves::renew(tx, lease.job, lease.id, now, expiry(now))
        })
        .await?;
    lease.held(held)
}

/// Takes over every leased job under new leases, same attempts: at the start of a master.
///
/// The lock on the data directory proves the old master dead, so its leases are void at once,
/// whatever the clock says.
pub async fn adopt(store: &Store, owner: &str) -> Result<Vec<Claimed>, QueueError> {
    let owner = owner.to_owned();
    let claimed = store
        .write("queue.adopt", Durability::Progress, move |tx| {
            let leased = jobs::running(tx)?;
            leased.into_iter().map(|job| adopt_one(tx, job.id, job.lease_id, &owner)).collect()
        })
        .await?;
    Ok(claimed)
}

fn adopt_one(tx: &Tx<'_>, id: JobId, old: Option<LeaseId>, owner: &str) -> Result<Claimed, StoreError> {
    let job = jobs::get(tx, id)?;
    let (Some(old), Ok(_)) = (old, next(job.status, &Event::Adopted)) else {
        return Err(StoreError::corrupt(format!("adopt job {id}"), "it is running without a lease"));
    };
    let now = tx.now();
    let lease = Lease { job: id, id: LeaseId::from_uuid(tx.uuid()) };
    let new = job_moves::Lease { id: lease.id, owner, now, expires: expiry(now) };
    if !job_moves::adopt(tx, id, old, new)? {
        return Err(StoreError::corrupt(format!("adopt job {id}"), "its lease changed within one transaction"));
    }
    Ok(Claimed { job: jobs::get(tx, id)?, lease })
}

/// Leases in the store that none of this master's drivers holds: what the health check clears.
pub async fn unheld(store: &Store, held: HashSet<LeaseId>) -> Result<Vec<Lease>, QueueError> {
    let running = store.read(jobs::running).await?;
    let leases = running.into_iter().filter_map(|job| job.lease_id.map(|id| Lease { job: job.id, id }));
    Ok(leases.filter(|lease| !held.contains(&lease.id)).collect())
}
