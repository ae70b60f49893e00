//! The end of a job: containers gone, logs sealed, state moved, record signed. May be done again.
use std::time::Duration;

use tokio::time::sleep;

use super::coordinate::Verdict;
use super::error::chain;
use super::outcome::seconds;
use super::watching::{LONGEST_PAUSE, PAUSE, insist, persist};
use super::{DriveError, Driven, Engine, LiveJob};
use crate::executor::ExecutorError;
use crate::model::call::CallKey;
use crate::model::job::Event;
use crate::model::step::{Cause, StepStatus};
use crate::queue::{self, Lost};
use crate::store::journal;
use crate::store::steps::{self, StepEnd};
use crate::store::{Durability, StepRow};

impl LiveJob {
    /// Ends the job by its verdict.
    pub(super) async fn conclude(&self, verdict: Verdict) -> Result<Driven, DriveError> {
        if verdict.loss().is_some() {
            // The next attempt must not meet what this one left.
            insist(&self.engine, "end a lost job", || self.engine.executor.teardown(self.row.id)).await;
        }
        let workspace = self.put_away(&verdict).await?;
        self.seal(&verdict).await?;
        let store = &self.engine.store;
        let (event, reason) = match verdict {
            Verdict::Success => (Event::Exited { code: 0 }, None),
            Verdict::Failed(reason) => (Event::Exited { code: 1 }, Some(reason)),
            Verdict::Rejected(reason) => (Event::Rejected, Some(reason)),
            Verdict::Cancelled => (Event::Stopped, Some(self.cancelled_by().await?)),
            Verdict::TimedOut => (Event::DeadlinePassed, Some(self.out_of_time().await?)),
            Verdict::Lost(_) | Verdict::Restarted => match self.finished_once().await? {
                None => return self.lost(&verdict).await,
                Some(step) => {
                    let reason = verdict.loss().unwrap_or_default();
                    let reason =
                        format!("{reason}; it is not tried again, because the step '{step}' may run only once");
                    (Event::Lost { attempts_left: false }, Some(reason))
                }
            },
        };
        let good = event == Event::Exited { code: 0 };
        self.engine.discard_artifacts(self.row.id, good, workspace).await?;
        let status = queue::finish(store, self.lease, event, reason).await?;
        tracing::info!(%status, job = self.row.label(), "the job ended");
        self.engine.attest_logged(self.row.id).await;
        if workspace {
            self.engine.evict_logged().await;
        }
        Ok(Driven::Ended(status))
    }

    async fn lost(&self, verdict: &Verdict) -> Result<Driven, DriveError> {
        let reason = verdict.loss().unwrap_or_default().to_owned();
        let lost = match verdict {
            Verdict::Restarted => queue::lost_to_restart(&self.engine.store, self.lease, reason).await?,
            _ => queue::lost(&self.engine.store, self.lease, reason).await?,
        };
        match lost {
            Lost::Retried { run_after } => {
                tracing::warn!(%run_after, job = self.row.label(), "the attempt was lost; the job runs again");
                Ok(Driven::Retried)
            }
            Lost::Ended(status) => {
                self.engine.discard_artifacts(self.row.id, false, false).await?;
                self.engine.attest_logged(self.row.id).await;
                Ok(Driven::Ended(status))
            }
        }
    }

    async fn cancelled_by(&self) -> Result<String, DriveError> {
        let id = self.row.id;
        let row = self.engine.store.read(move |view| crate::store::jobs::get(view, id)).await?;
        // Noted by who asked: a person, or a newer job of the group.
        Ok(row.reason.filter(|_| row.cancel_requested_at.is_some()).unwrap_or_else(|| "cancelled".to_owned()))
    }

    async fn out_of_time(&self) -> Result<String, DriveError> {
        let id = self.row.id;
        let calls = self.engine.store.read(move |view| journal::of_job(view, id)).await?;
        let allowed = Duration::from_secs(self.pipeline.max_duration_seconds);
        let declared = calls.iter().find_map(|call| declared_timeout(&call.request)).filter(|own| *own < allowed);
        let (limit, whose) = match declared {
            Some(own) => (own, "`timeout=` of @pipeline"),
            None => (allowed, "`max_duration_seconds` of the pipeline"),
        };
        Ok(format!("it ran longer than {}, which is {whose}", seconds(limit)))
    }

    /// A finished step of this attempt that must never run twice.
    async fn finished_once(&self) -> Result<Option<String>, DriveError> {
        let (job, attempt) = (self.row.id, self.row.attempt);
        let (calls, rows) =
            self.engine.store.read(move |view| Ok((journal::of_job(view, job)?, steps::of_job(view, job)?))).await?;
        // A step that was lost half way counts too: nobody knows how far it came.
        let once = |call: &&crate::store::JournalRow| {
            CallKey::parse(&call.key).is_ok_and(|key| key.kind() == "run") && asks_for_once(&call.request)
        };
        let started = |key: &str| {
            rows.iter().find(|row| row.job_attempt == attempt && row.key == key && row.started_at.is_some())
        };
        Ok(calls.iter().filter(once).find_map(|call| started(&call.key)).map(|row| row.name.clone()))
    }

    /// Hashes the logs: from here on they do not change.
    async fn seal(&self, verdict: &Verdict) -> Result<(), DriveError> {
        let job = self.row.id;
        let rows = self.engine.store.read(move |view| steps::of_job(view, job)).await?;
        for row in rows.into_iter().filter(|row| row.log_sha256.is_none() && row.reused_from.is_none()) {
            self.seal_step(row, verdict).await?;
        }
        Ok(())
    }

    async fn seal_step(&self, row: StepRow, verdict: &Verdict) -> Result<(), DriveError> {
        let stream = self.stream(&row);
        let path = stream.log_path();
        let hashed = tokio::task::spawn_blocking(move || stream.sha256()).await;
        let failed = |source| DriveError::Io { what: "seal the log", path, source };
        let hash = match hashed {
            Ok(Ok(hash)) => hash,
            Ok(Err(error)) => return Err(failed(std::io::Error::other(chain(&error)))),
            Err(error) => return Err(failed(error.into())),
        };
        let open = !row.status.is_terminal();
        // What ran when the attempt was lost is lost with it; nobody knows how it ended.
        let (status, cause, reason) = match verdict.loss() {
            _ if !open => (row.status, row.cause, row.reason),
            Some(reason) if row.started_at.is_some() => {
                (StepStatus::Failure, Some(Cause::Infra), Some(reason.to_owned()))
            }
            _ if row.started_at.is_some() => (StepStatus::Cancelled, None, row.reason.or_else(with_its_job)),
            _ => (StepStatus::Skipped, None, row.reason.or_else(with_its_job)),
        };
        let end = StepEnd {
            status,
            cause,
            exit_code: row.exit_code,
            reason,
            log_sha256: Some(hash.sha256),
            log_bytes: Some(hash.bytes),
            finished_at: row.finished_at.unwrap_or_else(|| self.engine.clock.now()),
        };
        let (lease, id) = (self.lease.id, row.id);
        Ok(self
            .engine
            .store
            .write("orchestrator.seal", Durability::Progress, move |tx| steps::finish(tx, lease, id, &end))
            .await?)
    }
}

impl Engine {
    /// Ends everything of a job, however long that takes: its end is told only when nothing of it lives. Files that
    /// can't be removed are no reason to wait; the next start removes them.
    pub(super) async fn end_all(&self, job: crate::model::JobId) {
        let mut pause = PAUSE.min(self.bounds.patience);
        loop {
            match self.executor.teardown(job).await {
                Ok(()) => return,
                Err(error @ (ExecutorError::Lost(_) | ExecutorError::Running(_))) => {
                    tracing::warn!(%job, %error, "a job that is over may still run; asking again");
                }
                Err(error) => {
                    return tracing::error!(%job, %error, "the job's workspace could not be removed");
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Ends and removes everything that an executor has of a job; what stays is removed at the next start.
    pub(super) async fn teardown(&self, job: crate::model::JobId) {
        if let Err(error) = persist(self, || self.executor.teardown(job)).await {
            tracing::error!(%job, %error, "the job's containers and workspace could not be removed");
        }
    }
}

/// The time that a journaled declaration asks for.
fn declared_timeout(request: &str) -> Option<Duration> {
    let fields: serde_json::Value = serde_json::from_str(request).ok()?;
    let declares = fields.get("call").and_then(serde_json::Value::as_str) == Some("declare");
    fields.get("timeout_ms").and_then(serde_json::Value::as_u64).filter(|_| declares).map(Duration::from_millis)
}

fn with_its_job() -> Option<String> {
    Some("stopped with its job".to_owned())
}

fn asks_for_once(request: &str) -> bool {
    let fields: Result<serde_json::Value, _> = serde_json::from_str(request);
    fields.is_ok_and(|fields| fields.get("once").and_then(serde_json::Value::as_bool).unwrap_or(false))
}
