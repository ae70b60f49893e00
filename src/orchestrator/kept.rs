//! Workspaces of jobs that ended without success: kept for a rerun from failed, within bounds of time and size.
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::coordinate::Verdict;
use super::error::chain;
use super::watching::{LONGEST_PAUSE, PAUSE};
use super::{DriveError, Engine, LiveJob};
use crate::executor::ExecutorError;
use crate::model::JobId;
use crate::model::step::StepStatus;
use crate::store::kept_workspaces::{self, Gone, HereRow};
use crate::store::steps::StepKind;
use crate::store::{Durability, StepRow, steps};

/// Workspaces that are kept at once: each holds a range of uids, of which the machine has 4094.
const MOST: usize = 500;
/// Between two looks at what is kept.
const LOOK: Duration = Duration::from_secs(60);

/// How long and how much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keeping {
    /// From the job's end on; zero: nothing is kept.
    pub age: Duration,
    /// Bytes of all together; zero: nothing is kept.
    pub bytes: u64,
}

impl Keeping {
    fn is_off(self) -> bool {
        self.age.is_zero() || self.bytes == 0
    }
}

impl LiveJob {
    /// Ends what an executor has of a job that ended by this verdict; its workspace is kept where a rerun could go on
    /// in it. True: it is.
    pub(super) async fn put_away(&self, verdict: &Verdict) -> Result<bool, DriveError> {
        let kept = match verdict {
            Verdict::Failed(_) | Verdict::Cancelled | Verdict::TimedOut => self.keep_workspace().await?,
            Verdict::Success | Verdict::Rejected(_) | Verdict::Lost(_) | Verdict::Restarted => false,
        };
        // What was lost was ended before anything else.
        if !kept && verdict.loss().is_none() {
            self.engine.end_all(self.row.id).await;
        }
        self.leave_parent().await?;
        Ok(kept)
    }

    async fn keep_workspace(&self) -> Result<bool, DriveError> {
        let (job, keeping) = (self.row.id, self.engine.bounds.keeping);
        if keeping.is_off() {
            return self.note_workspace(0, Some(Gone::Off)).await;
        }
        let rows = self.engine.store.read(move |view| steps::of_job(view, job)).await?;
        let attempt = self.row.attempt;
        let done = |row: &StepRow| row.kind == StepKind::Step && row.status == StepStatus::Success;
        if !rows.iter().any(|row| row.seq > 0 && row.job_attempt == attempt && done(row)) {
            return self.note_workspace(0, Some(Gone::Nothing)).await;
        }
        match self.engine.keep(job).await {
            Some(bytes) if bytes <= keeping.bytes => self.note_workspace(bytes, None).await,
            Some(bytes) => self.note_workspace(bytes, Some(Gone::Large)).await,
            None => self.note_workspace(0, Some(Gone::Failed)).await,
        }
    }

    /// True: it is there.
    async fn note_workspace(&self, bytes: u64, gone: Option<Gone>) -> Result<bool, DriveError> {
        let (lease, job) = (self.lease.id, self.row.id);
        let there = self.engine.store.write("orchestrator.workspace", Durability::Progress, move |tx| {
            kept_workspaces::note(tx, lease, job, bytes, gone)?;
            // A first note stands: after a restart this one may have been made before.
            Ok(kept_workspaces::find(tx, job)?.is_some_and(|row| row.gone_at.is_none()))
        });
        Ok(there.await?)
    }

    /// Of a workspace that this job has taken and not come to use, nothing stays; nor of artifacts kept for it.
    async fn leave_parent(&self) -> Result<(), DriveError> {
        let job = self.row.id;
        for parent in self.engine.store.read(move |view| kept_workspaces::taken_by(view, &[job])).await? {
            self.engine.teardown(parent).await;
            self.engine.sweep_artifacts(parent, false).await?;
        }
        Ok(())
    }
}

impl Engine {
    /// Removes what is over the bounds; what can't be removed now is removed at the next start.
    pub(super) async fn evict_logged(&self) {
        if let Err(error) = evict(self).await {
            tracing::error!(error = chain(&error), "kept workspaces could not be looked through; it is tried again");
        }
    }

    /// Ends everything of a job, however long that takes, and keeps its workspace; `None`: it can't be kept.
    async fn keep(&self, job: JobId) -> Option<u64> {
        let until = Instant::now() + self.bounds.patience;
        let mut pause = PAUSE.min(self.bounds.patience);
        loop {
            match self.executor.keep(job).await {
                Ok(kept) => return kept,
                // An executor that stays silent, or is too old to know how, has the job ended without it.
                Err(ExecutorError::Lost(reason)) if Instant::now() < until => {
                    tracing::warn!(%job, reason, "the executor gives no answer; asking again");
                }
                Err(error @ ExecutorError::Running(_)) => {
                    tracing::warn!(%job, %error, "a job that is over may still run; asking again");
                }
                Err(error) => {
                    tracing::warn!(%job, %error, "the workspace of a job could not be kept");
                    return None;
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn remove_kept(&self, job: JobId) -> Result<(), DriveError> {
        self.teardown(job).await;
        self.sweep_artifacts(job, false).await
    }
}

/// Removes kept workspaces whose time is up, and the oldest of those that take too much together; not one that a rerun
/// waits for. Gives the jobs whose workspaces went.
pub async fn evict(engine: &Engine) -> Result<Vec<JobId>, DriveError> {
    let (keeping, now) = (engine.bounds.keeping, engine.clock.now());
    if over(engine.store.read(kept_workspaces::here).await?, keeping, now).is_empty() {
        return Ok(Vec::new());
    }
    let going = engine.store.write("orchestrator.evict", Durability::Progress, move |tx| {
        let going = over(kept_workspaces::here(tx)?, keeping, now);
        going.iter().try_for_each(|(job, why)| kept_workspaces::mark_gone(tx, *job, *why))?;
        Ok(going)
    });
    let going = going.await?;
    for (job, why) in &going {
        tracing::info!(%job, why = why.as_str(), "a kept workspace is removed");
        engine.remove_kept(*job).await?;
    }
    Ok(going.into_iter().map(|(job, _)| job).collect())
}

/// Which of the kept workspaces, given oldest first, are to go.
fn over(rows: Vec<HereRow>, keeping: Keeping, now: Timestamp) -> Vec<(JobId, Gone)> {
    let (mut bytes, mut count) = (rows.iter().map(|row| row.bytes).sum::<u64>(), rows.len());
    let mut going = Vec::new();
    for row in rows.into_iter().filter(|row| !row.wanted) {
        let age = Duration::try_from(now.duration_since(row.kept_at)).unwrap_or_default();
        let why = match () {
            () if age >= keeping.age => Gone::Age,
            () if bytes > keeping.bytes || count > MOST => Gone::Room,
            () => continue,
        };
        (bytes, count) = (bytes - row.bytes, count - 1);
        going.push((row.job_id, why));
    }
    going
}

/// Holds the kept workspaces and the caches within their bounds until told to stop.
pub async fn keep_in_bounds(engine: Arc<Engine>, stop: CancellationToken) {
    loop {
        engine.evict_logged().await;
        engine.sweep_caches_logged().await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(LOOK) => {}
        }
    }
}

/// At the start: what the rows say is there and the executor does not have, is not there. Gives what is to be left
/// alone, because a row holds it, or because one of the `held` jobs is about to go on in it.
pub(super) async fn reconcile(engine: &Engine, listed: &[JobId], held: Vec<JobId>) -> Result<Vec<JobId>, DriveError> {
    let read = move |view: &crate::store::View<'_>| {
        Ok((kept_workspaces::here(view)?, kept_workspaces::taken_by(view, &held)?))
    };
    let (here, taken) = engine.store.read(read).await?;
    let (there, missing): (Vec<JobId>, Vec<JobId>) =
        here.into_iter().map(|row| row.job_id).partition(|job| listed.contains(job));
    for job in missing {
        tracing::warn!(%job, "the workspace that this job left is not there any more");
        let mark = engine.store.write("orchestrator.workspace_missing", Durability::Progress, move |tx| {
            kept_workspaces::mark_gone(tx, job, Gone::Missing)
        });
        mark.await?;
        engine.sweep_artifacts(job, false).await?;
    }
    Ok(there.into_iter().chain(taken).collect())
}
