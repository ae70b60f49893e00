//! A running job that waits for a person, and what a running job declares.
use jiff::{SignedDuration, Timestamp};

use super::QueueError;
use super::lease::Lease;
use crate::store::{Durability, Store, job_moves, jobs};

/// Parks a job: its slot is free for others, its lease and its concurrency group are kept.
pub async fn park(store: &Store, lease: Lease, reason: String) -> Result<(), QueueError> {
    set(store, lease, Some(reason)).await
}

/// Lets a parked job go on. It takes a slot again, for a while perhaps one too many.
pub async fn unpark(store: &Store, lease: Lease) -> Result<(), QueueError> {
    set(store, lease, None).await
}

async fn set(store: &Store, lease: Lease, reason: Option<String>) -> Result<(), QueueError> {
    let held = store
        .write("queue.park", Durability::Acknowledged, move |tx| {
            job_moves::park(tx, lease.job, lease.id, reason.as_deref())
        })
        .await?;
    lease.held(held)
}

/// Notes the name and the timeout that the danubefile declares. The deadline only gets nearer; returns it.
pub async fn declare(
    store: &Store,
    lease: Lease,
    title: Option<String>,
    timeout: Option<SignedDuration>,
) -> Result<Option<Timestamp>, QueueError> {
    let deadline = store
        .write("queue.declare", Durability::Progress, move |tx| {
            let deadline = timeout.map(|timeout| tx.now().checked_add(timeout).unwrap_or(Timestamp::MAX));
            let held = job_moves::declare(tx, lease.job, lease.id, title.as_deref(), deadline)?;
            Ok(if held { Some(jobs::get(tx, lease.job)?.deadline) } else { None })
        })
        .await?;
    deadline.ok_or_else(|| lease.lost())
}
