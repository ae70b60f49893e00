//! The loop that claims waiting jobs and gives each a driver.
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::chain;
use super::leftovers::remove_orphans;
use super::{DriveError, Driven, Engine, MirrorOrigin, attest_pending, drive, recover};
use crate::model::JobId;
use crate::model::job::Event;
use crate::platform::Tasks;
use crate::queue::{self, Claimed, Limits, QueueError};
use crate::secrets::JobSecrets;
use crate::store::config_commits;
use crate::trigger::{self, TriggerError};

/// A look without a reason, for the case that a wake-up was lost.
const POLL: Duration = Duration::from_secs(30);
/// Every commit wakes the scheduler: looks are at least so far apart. The first commit after a while is seen at once.
const BREATH: Duration = Duration::from_millis(5);
/// The first and the longest pause before a job is driven again that can't be driven now.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Where a job comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    /// It was claimed just now: nothing of it runs.
    Fresh,
    /// It was driven before: something of it may run.
    Before,
}

/// Claims jobs while slots are free. One per master.
pub struct Scheduler {
    engine: Arc<Engine>,
    trigger: trigger::Ctx,
    owner: String,
    driven: Mutex<HashSet<JobId>>,
}

impl Scheduler {
    /// Of a server, whose jobs build from mirrors.
    pub fn new(engine: Arc<Engine>, trigger: trigger::Ctx, owner: String) -> Arc<Self> {
        Arc::new(Self { engine, trigger, owner, driven: Mutex::default() })
    }

    /// Takes over what the last master drove, then claims until told to stop.
    pub async fn run(self: Arc<Self>, tasks: Tasks, stop: CancellationToken) {
        match recover(&self.engine, &self.owner).await {
            Ok(adopted) => {
                for claimed in adopted {
                    tracing::info!(job = %claimed.job.id, "a running job is taken over");
                    self.start(&tasks, claimed, Begun::Before);
                }
            }
            Err(error) => tracing::error!(error = chain(&error), "running jobs could not be taken over"),
        }
        let looking = Arc::clone(&self.engine);
        tasks.spawn("left-overs", |stop| async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = remove_orphans(&looking) => {}
            }
        });
        self.seal().await;
        let mut changes = self.engine.store.changes();
        loop {
            let next_look = Instant::now() + BREATH;
            changes.borrow_and_update();
            let wait = match self.claim_all(&tasks).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(error = chain(&error), "no job could be claimed");
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait) => self.seal().await,
            }
            tokio::time::sleep_until(next_look).await;
        }
    }

    /// Claims while something may start; gives how long to wait for the next look.
    async fn claim_all(self: &Arc<Self>, tasks: &Tasks) -> Result<Duration, DriveError> {
        let store = &self.engine.store;
        let global = store.read(config_commits::global_in_force).await?;
        let limits = Limits { max_running: global.max_running_jobs };
        while let Some(claimed) = queue::claim(store, &self.owner, limits).await? {
            self.start(tasks, claimed, Begun::Fresh);
        }
        let next = queue::next_run_after(store).await?;
        let now = self.engine.clock.now();
        Ok(next.map_or(POLL, |at| Duration::try_from(at.duration_since(now)).unwrap_or_default().min(POLL)))
    }

    fn start(self: &Arc<Self>, tasks: &Tasks, claimed: Claimed, begun: Begun) {
        let job = claimed.job.id;
        if !self.driven.lock().unwrap_or_else(PoisonError::into_inner).insert(job) {
            return;
        }
        let this = Arc::clone(self);
        tasks.spawn("job", move |stop| async move {
            let label = claimed.job.label();
            match this.drive_on(claimed, begun, stop).await {
                Driven::Ended(status) => tracing::info!(%job, label, %status, "job ended"),
                other => tracing::info!(%job, label, outcome = ?other, "job left"),
            }
            this.driven.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
            this.seal().await;
        });
    }

    /// Drives a job until it needs no driver any more, however often that fails.
    async fn drive_on(&self, claimed: Claimed, mut begun: Begun, stop: CancellationToken) -> Driven {
        let mut pause = PAUSE;
        loop {
            match self.drive(claimed.clone(), begun, stop.clone()).await {
                Ok(driven) => return driven,
                Err(error) => tracing::error!(
                    job = claimed.job.label(),
                    error = chain(&error),
                    "a job can't be driven; trying again"
                ),
            }
            begun = Begun::Before;
            if let Some(driven) = self.rest(&claimed, &mut pause, &stop).await {
                return driven;
            }
        }
    }

    /// Waits, longer each time; answers where the job is not to be driven after that.
    async fn rest(&self, claimed: &Claimed, pause: &mut Duration, stop: &CancellationToken) -> Option<Driven> {
        tokio::select! {
            () = stop.cancelled() => return Some(Driven::Left),
            () = tokio::time::sleep(*pause) => {}
        }
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        let renewed = queue::renew(&self.engine.store, claimed.lease).await;
        matches!(renewed, Err(QueueError::LeaseLost { .. })).then_some(Driven::LeaseLost)
    }

    async fn drive(&self, claimed: Claimed, begun: Begun, stop: CancellationToken) -> Result<Driven, DriveError> {
        let job = &claimed.job;
        let snapshot = job.pipeline()?;
        let mut pause = PAUSE;
        let mirror = loop {
            match self.trigger.holding(&snapshot.repository, &job.commit_sha, &stop).await {
                Ok(mirror) => break mirror,
                Err(_) if stop.is_cancelled() => return Ok(Driven::Left),
                Err(error) if begun == Begun::Fresh => return self.without_source(&claimed, &error).await,
                Err(error) => tracing::warn!(
                    job = job.label(),
                    error = chain(&error),
                    "the commit of a running job can't be read; the job waits for it"
                ),
            }
            if let Some(driven) = self.rest(&claimed, &mut pause, &stop).await {
                return Ok(driven);
            }
        };
        let origin = MirrorOrigin::new(mirror.objects().clone(), self.engine.dirs.scratch.clone());
        let secrets = JobSecrets::new(&self.engine.store, &self.engine.vault, job);
        let secrets = secrets.map_err(|error| DriveError::Secrets(chain(&error)))?;
        drive(Arc::clone(&self.engine), claimed, Arc::new(origin), Arc::new(secrets), stop).await
    }

    /// The commit can't be had: later, where that may help.
    async fn without_source(&self, claimed: &Claimed, error: &TriggerError) -> Result<Driven, DriveError> {
        let reason = format!("the commit can't be read: {}", chain(error));
        if error.is_retryable() {
            queue::lost(&self.engine.store, claimed.lease, reason).await?;
            return Ok(Driven::Retried);
        }
        let status = queue::finish(&self.engine.store, claimed.lease, Event::Rejected, Some(reason)).await?;
        Ok(Driven::Ended(status))
    }

    /// Signs the records of jobs that have none.
    async fn seal(&self) {
        // Who drives a job signs its record: jobs that end together must not sign each other's too.
        let driven = self.driven.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Err(error) = attest_pending(&self.engine, &driven).await {
            tracing::error!(error = chain(&error), "records of jobs could not be signed; they are tried again");
        }
    }
}
