//! The start of a master: what runs is adopted, what nobody drives is removed.
use std::collections::HashSet;

use super::error::chain;
use super::kept::reconcile;
use super::leftovers::remove_halves;
use super::watching::persist;
use super::{DriveError, Engine};
use crate::model::JobId;
use crate::queue::{self, Claimed};

/// Takes over every leased job of the master before this one; each is to be given to `drive`.
///
/// The lock on the data directory must be held: it proves the old master dead.
pub async fn recover(engine: &Engine, owner: &str) -> Result<Vec<Claimed>, DriveError> {
    let adopted = queue::adopt(&engine.store, owner).await?;
    remove_halves(engine, &adopted).await;
    let held: HashSet<JobId> = adopted.iter().map(|claimed| claimed.job.id).collect();
    match persist(engine, || engine.executor.list()).await {
        Ok(jobs) => {
            let kept = reconcile(engine, &jobs, held.iter().copied().collect()).await?;
            for job in jobs.into_iter().filter(|job| !held.contains(job) && !kept.contains(job)) {
                tracing::info!(%job, why = "it runs no more, and the master that ended it died", "removing what a job left");
                engine.teardown(job).await;
            }
        }
        Err(error) => tracing::error!(error = chain(&error), "the executor does not say which jobs it has"),
    }
    Ok(adopted)
}
