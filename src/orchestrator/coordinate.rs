//! The danubefile's own process: step 0 of the job. Its row holds how the job ends.
use super::live::Ending;
use super::outcome::{LOG_LOST, bytes};
use super::watching::{Manners, Seen, ensure};
use super::{DriveError, LiveJob, culprit, outcome, reason};
use crate::executor::{ExecutorError, StepEnd};
use crate::model::step::{Cause, StepStatus};
use crate::store::steps::{self, NewStep};
use crate::store::{Durability, StepRow, jobs, journal};

/// Restarts of a lost coordinator that makes no further call.
pub(super) const RESTARTS: usize = 3;

/// How a job ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The danubefile ended well.
    Success,
    /// It did not, and why.
    Failed(String),
    /// The job can't be run as it is configured.
    Rejected(String),
    /// Somebody asked for its end.
    Cancelled,
    /// Its time was up.
    TimedOut,
    /// Infrastructure lost it.
    Lost(String),
    /// The machine was restarted under it: what ran is lost like that, and nothing stands in the way of the next
    /// attempt any more.
    Restarted,
}

impl Verdict {
    /// Why the attempt was lost, where it was.
    pub(super) fn loss(&self) -> Option<&str> {
        match self {
            Self::Lost(reason) => Some(reason),
            Self::Restarted => Some("the machine was restarted while the job ran"),
            _ => None,
        }
    }
}

impl LiveJob {
    /// The newest coordinator of this attempt of the job.
    pub(super) async fn coordinator_row(&self) -> Result<Option<StepRow>, DriveError> {
        let (job, attempt) = (self.row.id, self.row.attempt);
        let row = self.engine.store.read(move |view| steps::find_last(view, job, 0)).await?;
        Ok(row.filter(|row| row.job_attempt == attempt))
    }

    /// Runs the coordinator, or follows the one that runs, until the job's end is decided.
    pub(super) async fn coordinate(&self) -> Result<Verdict, DriveError> {
        loop {
            let row = match self.coordinator_row().await? {
                Some(row) if !row.status.is_terminal() => row,
                Some(row) => match verdict_of(&row) {
                    Some(verdict) => return Ok(verdict),
                    None if self.losses().await? > RESTARTS => {
                        let times = format!("{} times without making a further call", RESTARTS + 1);
                        // At the same place each time: another attempt would meet the same.
                        return Ok(match row.exit_code {
                            Some(reason::KILLED) => Verdict::Failed(format!("the danubefile was killed {times}")),
                            _ => Verdict::Lost(format!("the coordinator was lost {times}")),
                        });
                    }
                    None => self.new_coordinator().await?,
                },
                None => self.new_coordinator().await?,
            };
            let at = self.at(0, row.attempt);
            // The server's own settings name it, no danubefile.
            let image = tokio::select! {
                biased;
                () = self.closing.cancelled() => {
                    self.note_end(&row, &self.by_ending().unwrap_or(Verdict::Cancelled), None).await?;
                    continue;
                }
                image = self.image(&row, &self.engine.bounds.coordinator_image, true) => image,
            };
            let started = async {
                let image = image?;
                ensure(&self.engine, at, || async {
                    let (log, index) = self.streams(&row).await?;
                    self.engine.executor.ensure_step(at, self.coordinator_spec(image.as_ref()), log, index).await
                })
                .await?;
                Ok(image.map(|ready| ready.image.digest.clone()))
            };
            let started: Result<Option<String>, ExecutorError> = started.await;
            if let Err(error) = &started {
                self.note_end(&row, &refused(error), None).await?;
                continue;
            }
            if row.started_at.is_some() {
                tracing::info!(job = self.row.label(), "a running job is followed again");
            } else {
                let (lease, id, now) = (self.lease.id, row.id, self.engine.clock.now());
                let digest = started.ok().flatten();
                let noted =
                    self.engine.store.write("orchestrator.coordinator_running", Durability::Progress, move |tx| {
                        steps::start(tx, lease, id, now, digest.as_deref())
                    });
                noted.await?;
            }
            let (verdict, end) = match self.watch(at, None, Manners::Calls).await {
                Seen::Ended(end) => (self.judge(&end, &row).await, Some(end)),
                Seen::Stopped | Seen::TimedOut(_) => (self.by_ending().unwrap_or(Verdict::Cancelled), None),
                Seen::Lost | Seen::NotStarted => {
                    self.put_down(at).await;
                    (self.by_ending().unwrap_or(Verdict::Lost("the coordinator was lost".to_owned())), None)
                }
            };
            self.note_end(&row, &verdict, end.as_ref()).await?;
        }
    }

    async fn new_coordinator(&self) -> Result<StepRow, DriveError> {
        let (lease, job) = (self.lease.id, self.row.id);
        let mut new = NewStep {
            job_id: job,
            job_attempt: self.row.attempt,
            seq: Some(0),
            attempt: 1,
            branch: String::new(),
            key: "/coordinator#0".to_owned(),
            name: self.pipeline.script.clone(),
            image: self.engine.bounds.coordinator_image.clone(),
            command: format!("python3 {}", self.pipeline.script),
            allow_failure: false,
            kind: steps::StepKind::Step,
        };
        let row = self.engine.store.write("orchestrator.coordinator", Durability::Progress, move |tx| {
            // Counted over all attempts of the job: each has a log of its own.
            new.attempt = steps::find_last(tx, job, 0)?.map_or(1, |last| last.attempt + 1);
            steps::insert(tx, lease, &new)
        });
        Ok(row.await?)
    }

    /// Lost coordinators since the last call that was new.
    async fn losses(&self) -> Result<usize, DriveError> {
        let (job, attempt) = (self.row.id, self.row.attempt);
        let (calls, rows) = self
            .engine
            .store
            .read(move |view| Ok((journal::of_job(view, job)?, steps::attempts(view, job, 0)?)))
            .await?;
        let last_call = calls.last().map(|call| call.created_at);
        let fruitless = |row: &&StepRow| row.finished_at >= last_call;
        Ok(rows.iter().rev().filter(|row| row.job_attempt == attempt).take_while(fruitless).count())
    }

    /// What the end of the coordinator means for the job.
    async fn judge(&self, end: &StepEnd, row: &StepRow) -> Verdict {
        if let Some(verdict) = self.by_ending() {
            return verdict;
        }
        if let Some(error) = &end.error {
            return Verdict::Lost(format!("the coordinator could not be started: {error}"));
        }
        if end.log_overflow {
            let limit = bytes(self.engine.bounds.log_bytes);
            return Verdict::Failed(format!("the danubefile wrote more than {limit} of output"));
        }
        if end.log_truncated {
            return Verdict::Failed(format!("{}: {LOG_LOST}", self.pipeline.script));
        }
        if end.exit_code == 0 {
            return Verdict::Success;
        }
        if let Some(what) = end.full {
            return Verdict::Failed(outcome::full(what, self.workspace_bytes()));
        }
        if end.oom_kills > 0 {
            let limit = bytes(self.engine.bounds.coordinator.memory_bytes);
            return Verdict::Failed(format!("out of memory: the coordinator's limit is {limit}"));
        }
        let tail = self.tail(row).await;
        if reason::was_killed(end.exit_code, &tail) {
            return Verdict::Lost("the coordinator was killed".to_owned());
        }
        let said = reason::of_coordinator(end.exit_code, &tail);
        let job = self.row.id;
        let steps = self.engine.store.read(move |view| steps::of_job(view, job)).await;
        // A failed step is the first cause also where the danubefile went on after it.
        let said = steps.map_or_else(|_| said.clone(), |steps| culprit::first_cause(&said, &steps));
        Verdict::Failed(self.masks.redact(&said))
    }

    async fn tail(&self, row: &StepRow) -> String {
        let stream = self.stream(row);
        let read = tokio::task::spawn_blocking(move || {
            stream.read_range(stream.len()?.saturating_sub(reason::TAIL as u64), reason::TAIL)
        });
        match read.await {
            Ok(Ok(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
            // The exit code says enough.
            _ => String::new(),
        }
    }

    /// The verdict of a job that is being ended.
    fn by_ending(&self) -> Option<Verdict> {
        match self.ending()? {
            Ending::Cancelled => Some(Verdict::Cancelled),
            Ending::Deadline => Some(Verdict::TimedOut),
            Ending::Failed(error) => Some(Verdict::Failed(self.masks.redact(&error.to_string()))),
            Ending::Over => None,
        }
    }

    async fn note_end(&self, row: &StepRow, verdict: &Verdict, end: Option<&StepEnd>) -> Result<(), DriveError> {
        let (status, cause, reason) = match verdict {
            Verdict::Success => (StepStatus::Success, Some(Cause::Success), None),
            Verdict::Failed(reason) => (StepStatus::Failure, Some(Cause::Exit), Some(reason.as_str())),
            Verdict::Rejected(reason) => (StepStatus::Skipped, None, Some(reason.as_str())),
            Verdict::Cancelled => (StepStatus::Cancelled, None, None),
            Verdict::TimedOut => (StepStatus::Timeout, Some(Cause::Timeout), None),
            Verdict::Lost(_) | Verdict::Restarted => (StepStatus::Failure, Some(Cause::Infra), verdict.loss()),
        };
        let end = steps::StepEnd {
            status,
            cause,
            exit_code: end.map(|end| end.exit_code),
            reason: reason.map(str::to_owned),
            log_sha256: None,
            log_bytes: end.map(|end| end.log_bytes),
            finished_at: self.engine.clock.now(),
        };
        let (lease, id, job) = (self.lease.id, row.id, self.row.id);
        // The verdict stands from here on: what follows may be interrupted and done again. A request to end the job
        // that came before it wins, one that comes after it is refused.
        let noted = self.engine.store.write("orchestrator.coordinator_end", Durability::Acknowledged, move |tx| {
            let asked = jobs::told(tx, job)?.cancel_requested_at.is_some();
            let cancelled = steps::StepEnd { status: StepStatus::Cancelled, cause: None, reason: None, ..end.clone() };
            steps::finish(tx, lease, id, if asked { &cancelled } else { &end })
        });
        Ok(noted.await?)
    }
}

/// What an ended coordinator's row says; `None` where it was lost and may be started again.
pub(super) fn verdict_of(row: &StepRow) -> Option<Verdict> {
    let reason = || row.reason.clone().unwrap_or_default();
    match row.status {
        StepStatus::Pending | StepStatus::Running => None,
        StepStatus::Failure if row.cause == Some(Cause::Infra) => None,
        StepStatus::Success => Some(Verdict::Success),
        StepStatus::Failure => Some(Verdict::Failed(reason())),
        StepStatus::Skipped => Some(Verdict::Rejected(reason())),
        StepStatus::Cancelled => Some(Verdict::Cancelled),
        StepStatus::Timeout => Some(Verdict::TimedOut),
    }
}

fn refused(error: &ExecutorError) -> Verdict {
    if error.is_retryable() { Verdict::Lost(error.to_string()) } else { Verdict::Rejected(error.to_string()) }
}
