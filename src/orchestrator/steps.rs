//! A step: one journaled call, one or more attempts.
use std::sync::Arc;
use std::time::Duration;

use super::attempt::Attempt;
use super::caches::home_of;
use super::call::{Build, Call, StepAnswer, StepRequest};
use super::canonical::Canonical;
use super::journal::{Entry, read};
use super::outcome::{Outcome, next_attempt, pause, seconds};
use super::spec::name_of;
use super::{CallError, LiveJob, bounds};
use crate::model::step::{Cause, StepStatus};
use crate::store::steps::{self, NewStep, StepEnd, StepKind};
use crate::store::{Durability, StepRow, Tx};

impl LiveJob {
    /// Runs a step, or answers with what became of it. Sent again, the call never runs it twice.
    pub async fn run_step(self: &Arc<Self>, call: Call, request: StepRequest) -> Result<StepAnswer, CallError> {
        bounds::step(&request)?;
        let canonical = Canonical::step(self.engine.job_key.hmac(), &request);
        let (mut new, lease, reuse) = (self.new_step(&call, &request), self.lease.id, self.reuse.clone());
        let insert = move |tx: &Tx<'_>| {
            if let Some(reuse) = reuse {
                new.seq = reuse.place(tx, new.job_id, &new.key)?;
            }
            steps::insert(tx, lease, &new)
        };
        let first = match self.enter(&call, &canonical, insert).await? {
            Entry::Done(bytes) => return read(&bytes),
            Entry::Open(first) => first,
        };
        let work = {
            let (job, call) = (Arc::clone(self), call.clone());
            async move { job.attempts(call, request, first).await }
        };
        self.once(&call.key, work).await?;
        self.answered(&call).await
    }

    fn new_step(&self, call: &Call, request: &StepRequest) -> NewStep {
        // A builder has the layer cache of the job's own branch, of which the call knows nothing.
        let command = request.build.as_ref().map_or_else(|| request.command.clone(), Build::command);
        NewStep {
            job_id: self.row.id,
            job_attempt: self.row.attempt,
            seq: None,
            attempt: 1,
            branch: self.masks.redact(call.key.branch()),
            key: call.key.to_string(),
            name: self.masks.redact(&name_of(request)),
            image: crate::images::without_password(&self.image_of(request)),
            command: self.masks.redact(&command),
            allow_failure: request.allow_failure,
            kind: StepKind::Step,
        }
    }

    /// From the newest attempt in the rows to the last one.
    async fn attempts(
        self: Arc<Self>,
        call: Call,
        request: StepRequest,
        first: Option<StepRow>,
    ) -> Result<(), CallError> {
        let _slot = self.slots.acquire().await.map_err(|_| CallError::Cancelled)?;
        let mut row = match first {
            Some(row) => row,
            None => self.newest(&call).await?,
        };
        loop {
            if row.attempt > 1 && row.started_at.is_none() {
                self.pause(pause(request.retry.backoff, row.attempt - 1)).await?;
            }
            let attempt = match self.attempt(&row, &request).await? {
                Some(attempt) => attempt,
                None => {
                    self.stopped(&row).await?;
                    return Err(self.still_open().err().unwrap_or(CallError::Cancelled));
                }
            };
            if let Some(pause) = next_attempt(&request.retry, request.once, row.attempt, &attempt.outcome) {
                row = self.again(&call, &request, &row, (&attempt, pause)).await?;
            } else {
                if attempt.outcome.cause == Cause::Success {
                    tokio::select! {
                        // Before the danubefile hears of the end: the next step may change what is stored.
                        () = self.store_caches(&row, &request, home_of(&request)) => {}
                        () = self.closing.cancelled() => {}
                    }
                }
                return self.finish_step(&call, &row, attempt).await;
            }
        }
    }

    /// The newest attempt of a call that an earlier master recorded.
    pub(super) async fn newest(&self, call: &Call) -> Result<StepRow, CallError> {
        let (job, attempt, key) = (self.row.id, self.row.attempt, call.key.to_string());
        let rows = self.engine.store.read(move |view| steps::of_job(view, job)).await?;
        let own = rows.into_iter().filter(|row| row.job_attempt == attempt && row.key == key);
        own.max_by_key(|row| row.attempt)
            .ok_or_else(|| CallError::Unavailable(format!("the call {} has no step", call.key)))
    }

    async fn pause(&self, pause: Duration) -> Result<(), CallError> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.closing.cancelled() => Err(self.still_open().err().unwrap_or(CallError::Cancelled)),
        }
    }

    /// Notes the end of an attempt and the next one, in one transaction.
    async fn again(
        &self,
        call: &Call,
        request: &StepRequest,
        row: &StepRow,
        (attempt, pause): (&Attempt, Duration),
    ) -> Result<StepRow, CallError> {
        let mut end = self.end_of(&attempt.outcome, attempt);
        let next = format!("attempt {} of {} after {}", row.attempt + 1, request.retry.times + 1, seconds(pause));
        end.reason = Some(end.reason.map_or_else(|| next.clone(), |reason| format!("{reason}; {next}")));
        let next = NewStep { seq: Some(row.seq), attempt: row.attempt + 1, ..self.new_step(call, request) };
        let (lease, id) = (self.lease.id, row.id);
        let next = self.engine.store.write("orchestrator.next_attempt", Durability::Progress, move |tx| {
            steps::finish(tx, lease, id, &end)?;
            steps::insert(tx, lease, &next)
        });
        Ok(next.await?)
    }

    /// Notes the end of the last attempt and the answer, in one transaction: then the danubefile hears of it.
    async fn finish_step(&self, call: &Call, row: &StepRow, attempt: Attempt) -> Result<(), CallError> {
        let end = self.end_of(&attempt.outcome, &attempt);
        let answer = self.written(Ok(StepAnswer {
            outcome: attempt.outcome.cause,
            exit_code: attempt.outcome.exit_code,
            stdout: attempt.stdout,
            captured: attempt.captured,
            seconds: attempt.ran.as_secs_f64(),
            attempt: row.attempt,
            step: row.seq,
            message: end.reason.clone().unwrap_or_default(),
        }))?;
        let (lease, id) = (self.lease.id, row.id);
        self.record(call, answer, move |tx| steps::finish(tx, lease, id, &end)).await?;
        Ok(())
    }

    fn end_of(&self, outcome: &Outcome, attempt: &Attempt) -> StepEnd {
        StepEnd {
            status: outcome.status(),
            cause: Some(outcome.cause),
            exit_code: Some(outcome.exit_code),
            reason: (!outcome.message.is_empty()).then(|| self.masks.redact(&outcome.message)),
            log_sha256: None,
            log_bytes: attempt.log_bytes,
            finished_at: self.engine.clock.now(),
        }
    }

    /// Notes that an attempt ended with its job; its call has no answer.
    async fn stopped(&self, row: &StepRow) -> Result<(), CallError> {
        let end = StepEnd {
            status: StepStatus::Cancelled,
            cause: None,
            exit_code: None,
            reason: Some("stopped with its job".to_owned()),
            log_sha256: None,
            log_bytes: None,
            finished_at: self.engine.clock.now(),
        };
        let (lease, id) = (self.lease.id, row.id);
        Ok(self
            .engine
            .store
            .write("orchestrator.stopped", Durability::Progress, move |tx| steps::finish(tx, lease, id, &end))
            .await?)
    }
}
