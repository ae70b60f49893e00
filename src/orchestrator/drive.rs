//! Drives one leased attempt of a job, from its rows: the same at the first start and after a restart.
use std::io::Seek as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::coordinate::{Verdict, verdict_of};
use super::error::chain;
use super::live::Ending;
use super::origin::OriginError;
use super::watching::persist;
use super::{DriveError, Engine, LiveJob, Origin};
use crate::executor::{ExecutorError, JobPlace, JobSpec, SpaceLimit};
use crate::model::call::Place;
use crate::model::job::{Event, Status};
use crate::queue::{self, Claimed, QueueError};
use crate::secrets::SecretSource;
use crate::store::job_limits::{self, HeldBy};
use crate::store::journal::{self, NewCall};
use crate::store::{Durability, jobs};

/// Under which the machine is journaled that an attempt runs on; no SDK can send it.
const MACHINE: &str = "/machine#0";
/// How long connections get to end when their job has.
const CLOSE: Duration = Duration::from_secs(1);
/// Every commit wakes every running job: looks are at least so far apart, or many jobs would do little else.
const BREATH: Duration = Duration::from_millis(50);
/// How often a job is driven again after an error of the master's own, and the first pause.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// What became of a driven job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driven {
    /// It ended.
    Ended(Status),
    /// Its attempt was lost; it waits for the next one.
    Retried,
    /// The master stops; what runs goes on without it.
    Left,
    /// Another master drives it.
    LeaseLost,
}

/// Drives a job to its end, or until `stop`. Everything it needs to go on later is in rows and files.
///
/// What fails on the master's side (a full disk, a busy database) is tried again from the rows; after
/// some tries the error comes back, the job stays leased, and the same claim may be driven later.
pub async fn drive(
    engine: Arc<Engine>,
    claimed: Claimed,
    origin: Arc<dyn Origin>,
    secrets: Arc<dyn SecretSource>,
    stop: CancellationToken,
) -> Result<Driven, DriveError> {
    for tries in 1.. {
        let once = drive_once(&engine, claimed.clone(), Arc::clone(&origin), Arc::clone(&secrets), &stop).await;
        let Err(error) = once else { return once };
        if let Err(QueueError::LeaseLost { .. }) = queue::renew(&engine.store, claimed.lease).await {
            return Ok(Driven::LeaseLost);
        }
        if tries == TRIES {
            return Err(error);
        }
        tracing::error!(job = claimed.job.label(), error = chain(&error), "could not drive a job; trying again");
        tokio::select! {
            () = tokio::time::sleep(PAUSE * tries) => {}
            () = stop.cancelled() => break,
        }
    }
    Ok(Driven::Left)
}

async fn drive_once(
    engine: &Arc<Engine>,
    claimed: Claimed,
    origin: Arc<dyn Origin>,
    secrets: Arc<dyn SecretSource>,
    stop: &CancellationToken,
) -> Result<Driven, DriveError> {
    let lease = claimed.lease;
    let job = match LiveJob::open(Arc::clone(engine), claimed, origin, secrets).await {
        Ok(job) => job,
        Err(error @ DriveError::Secrets(_)) => {
            let status = queue::finish(&engine.store, lease, Event::Rejected, Some(error.to_string())).await?;
            return Ok(Driven::Ended(status));
        }
        Err(error) => return Err(error),
    };
    let driven = tokio::select! {
        driven = job.live() => driven,
        () = job.renew() => Ok(Driven::LeaseLost),
        () = stop.cancelled() => Ok(Driven::Left),
    };
    job.halt.cancel();
    job.work.close();
    job.work.wait().await;
    driven
}

enum Prepared {
    Decided(Verdict),
    Ready(PathBuf),
}

impl LiveJob {
    async fn live(self: &Arc<Self>) -> Result<Driven, DriveError> {
        let verdict = match self.prepare().await? {
            Prepared::Decided(verdict) => verdict,
            Prepared::Ready(socket_dir) => self.run(&socket_dir).await?,
        };
        self.conclude(verdict).await
    }

    /// Keeps the lease; ends when it is lost.
    async fn renew(&self) {
        let mut due = tokio::time::interval(self.engine.bounds.renew_every);
        loop {
            due.tick().await;
            match queue::renew(&self.engine.store, self.lease).await {
                Ok(()) => {}
                Err(QueueError::LeaseLost { .. }) if self.is_driven_elsewhere().await => return,
                // Ended or put back, by this very driver: it has a record to sign still.
                Err(QueueError::LeaseLost { .. }) => std::future::pending().await,
                Err(error) => tracing::warn!(error = chain(&error), "could not renew the lease; trying again"),
            }
        }
    }

    async fn is_driven_elsewhere(&self) -> bool {
        let (id, lease) = (self.row.id, self.lease.id);
        let row = self.engine.store.read(move |view| jobs::get(view, id)).await;
        row.is_ok_and(|row| row.lease_id.is_some_and(|holder| holder != lease))
    }

    /// Everything before the coordinator, or the verdict where it stands already.
    async fn prepare(&self) -> Result<Prepared, DriveError> {
        let coordinator = self.coordinator_row().await?;
        if let Some(verdict) = coordinator.as_ref().and_then(verdict_of) {
            return Ok(Prepared::Decided(verdict));
        }
        let id = self.row.id;
        let row = self.engine.store.read(move |view| jobs::get(view, id)).await?;
        if coordinator.is_none() && row.cancel_requested_at.is_some() {
            return Ok(Prepared::Decided(Verdict::Cancelled));
        }
        if !self.on_this_machine().await? {
            return Ok(Prepared::Decided(Verdict::Restarted));
        }
        if coordinator.is_none()
            && let Some(verdict) = self.without_script().await
        {
            return Ok(Prepared::Decided(verdict));
        }
        let source = match self.origin.source(&self.row.revision()).await {
            Ok(source) => source,
            Err(error) => return Ok(Prepared::Decided(of_origin(error))),
        };
        // From here on it can't be had by another rerun.
        if let Some(reason) = self.take_workspace().await? {
            return Ok(Prepared::Decided(Verdict::Rejected(reason)));
        }
        let spec = JobSpec {
            job: self.row.id,
            workspace_bytes: self.workspace_bytes(),
            adopt: self.reuse.as_ref().map(|reuse| reuse.parent),
        };
        let placed = persist(&self.engine, || async {
            // Clones share one place in the file: an earlier try may have read some of it.
            let again = source.try_clone().and_then(|mut file| file.rewind().map(|()| file));
            let source = again.map_err(|error| ExecutorError::Start(error.to_string()))?;
            self.engine.executor.ensure_job(spec.clone(), source).await
        });
        match placed.await {
            Ok(place) => {
                self.note_limits(&place).await?;
                Ok(Prepared::Ready(place.socket_dir))
            }
            Err(error) if error.is_retryable() => Ok(Prepared::Decided(Verdict::Lost(error.to_string()))),
            Err(error) => Ok(Prepared::Decided(Verdict::Rejected(error.to_string()))),
        }
    }

    /// Notes for the job's page what holds it to the size of its workspace.
    async fn note_limits(&self, place: &JobPlace) -> Result<(), DriveError> {
        let (lease, job, bytes) = (self.lease.id, self.row.id, self.workspace_bytes());
        let by = place.space.map(|space| match space {
            SpaceLimit::Quota => HeldBy::Quota,
            SpaceLimit::Watch => HeldBy::Watch,
        });
        let noted = self
            .engine
            .store
            .write("orchestrator.limits", Durability::Progress, move |tx| job_limits::note(tx, lease, job, bytes, by));
        Ok(noted.await?)
    }

    /// Whether the machine is the one on which this attempt began.
    async fn on_this_machine(&self) -> Result<bool, DriveError> {
        let (lease, job) = (self.lease.id, self.row.id);
        let new = NewCall {
            job_id: job,
            key: MACHINE.to_owned(),
            call_hash: self.engine.machine.clone(),
            place: Place::default(),
            request: "{}".to_owned(),
        };
        let row = self.engine.store.write("orchestrator.place", Durability::Progress, move |tx| {
            let row = journal::open(tx, lease, &new)?;
            journal::answer(tx, lease, job, MACHINE, b"{}")?;
            Ok(row)
        });
        Ok(row.await?.call_hash == self.engine.machine)
    }

    async fn without_script(&self) -> Option<Verdict> {
        let (row, script) = (&self.row, &self.pipeline.script);
        match self.origin.script_exists(row.commit_sha.clone(), script.clone()).await {
            Ok(true) => None,
            Ok(false) => Some(Verdict::Rejected(format!(
                "the pipeline '{}' runs '{script}', and the commit {} of branch '{}' has no such file: add it, or set \
                 the pipeline's `script` in the config repo",
                row.pipeline_name, row.commit_sha, row.branch
            ))),
            Err(error) => Some(of_origin(error)),
        }
    }

    /// Serves the job's calls and watches over it while its coordinator runs.
    async fn run(self: &Arc<Self>, socket_dir: &Path) -> Result<Verdict, DriveError> {
        // Before a call of the danubefile may ask for one.
        self.adopt_services().await.map_err(|error| DriveError::Record(error.to_string()))?;
        let listener = listen(&socket_dir.join("rpc.sock")).await?;
        let closed = CancellationToken::new();
        let mut serving = (self.engine.serve)(listener, Arc::clone(self), closed.clone());
        let ahead = Arc::clone(self);
        self.work.spawn(async move {
            tokio::select! {
                () = ahead.halt.cancelled() => {}
                () = ahead.closing.cancelled() => {}
                () = ahead.prepare_network() => {}
            }
        });
        let coordinating = async {
            let verdict = self.coordinate().await;
            // What the danubefile left running ends before its workspace does.
            self.close(Ending::Over);
            self.work.close();
            self.work.wait().await;
            verdict
        };
        let overseeing = async {
            self.oversee().await;
            // From here on the coordinator's own end is waited for.
            std::future::pending::<std::convert::Infallible>().await
        };
        let verdict = tokio::select! {
            verdict = coordinating => verdict,
            never = overseeing => match never {},
            () = &mut serving => Err(DriveError::Io {
                what: "serve the socket in",
                path: socket_dir.to_owned(),
                source: std::io::Error::other("it ended early"),
            }),
        };
        closed.cancel();
        // Whatever is still connected after this belongs to a container that is gone.
        let _late = timeout(CLOSE, serving).await;
        verdict
    }

    /// Ends when the job was told to end: by a person, or by its deadline.
    async fn oversee(&self) {
        let mut changes = self.engine.store.changes();
        let mut due: Option<(jiff::Timestamp, Instant)> = None;
        loop {
            let id = self.row.id;
            match self.engine.store.read(move |view| jobs::told(view, id)).await {
                Ok(told) if told.cancel_requested_at.is_some() => return self.close(Ending::Cancelled),
                Ok(told) => {
                    // Counted in monotonic time from here on: a clock that jumps ends no job.
                    if let Some(deadline) = told.deadline
                        && due.is_none_or(|(known, _)| known != deadline)
                    {
                        let left = Duration::try_from(deadline.duration_since(self.engine.clock.now()));
                        due = Some((deadline, Instant::now() + left.unwrap_or_default()));
                    }
                }
                Err(error) => tracing::warn!(error = chain(&error), "could not look after a job; trying again"),
            }
            let deadline = async {
                match due {
                    Some((_, at)) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = deadline => return self.close(Ending::Deadline),
                () = self.closing.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return std::future::pending().await },
            }
            tokio::time::sleep(BREATH).await;
        }
    }
}

fn of_origin(error: OriginError) -> Verdict {
    match error {
        OriginError::User(text) => Verdict::Rejected(text),
        OriginError::Unavailable(text) => Verdict::Lost(text),
    }
}

/// The job's socket; a socket of an earlier master is replaced.
async fn listen(path: &Path) -> Result<UnixListener, DriveError> {
    let failed = |what| {
        let path = path.to_owned();
        move |source| DriveError::Io { what, path, source }
    };
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed("replace")(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed("listen on"))?;
    // The coordinator runs as another user; the directory is mounted nowhere else.
    let everybody = std::fs::Permissions::from_mode(0o666);
    tokio::fs::set_permissions(path, everybody).await.map_err(failed("open"))?;
    Ok(listener)
}
