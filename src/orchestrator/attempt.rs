//! One attempt of a step: started unless it was, followed to its end.
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::caches::home_of;
use super::call::{Capture, StepRequest};
use super::egress::Offline;
use super::error::chain;
use super::outcome::{self, Bound, Outcome};
use super::pulling::Ready;
use super::services::{Service, already_failed, failed_of, host_entries};
use super::spec::{network_note, room};
use super::watching::{Seen, ensure};
use super::{CallError, LiveJob};
use crate::executor::{ExecutorError, StepAt, StepEnd};
use crate::model::call::CallKey;
use crate::model::step::Cause;
use crate::store::{Durability, StepRow, journal, steps};

/// How often an attempt that was accepted and not started is started again.
const STARTS: u32 = 3;

/// What an attempt came to.
pub(super) struct Attempt {
    pub(super) outcome: Outcome,
    /// How long it ran.
    pub(super) ran: Duration,
    /// The length of its log.
    pub(super) log_bytes: Option<u64>,
    /// Its standard output, where the danubefile asked for it.
    pub(super) stdout: String,
    /// The handle of its captured secret.
    pub(super) captured: String,
}

impl Attempt {
    fn without_output(outcome: Outcome) -> Self {
        Self { outcome, ran: Duration::ZERO, log_bytes: None, stdout: String::new(), captured: String::new() }
    }
}

impl LiveJob {
    /// Runs an attempt; `None` where it was ended with its job. An attempt that an earlier master
    /// started is only followed.
    pub(super) async fn attempt(
        self: &Arc<Self>,
        row: &StepRow,
        request: &StepRequest,
    ) -> Result<Option<Attempt>, CallError> {
        let at = self.at(row.seq, row.attempt);
        if !request.network {
            return self.attempt_with(None, row, request).await;
        }
        let nameserver = match self.step_names(at).await {
            Ok(nameserver) => nameserver,
            Err(Offline::Call(error @ CallError::Unavailable(_))) => return Err(error),
            Err(Offline::Call(error)) => return Ok(Some(Attempt::without_output(refused(&error)))),
            Err(Offline::Executor(error)) => return Ok(Some(Attempt::without_output(outcome::of_error(&error)))),
        };
        let attempt = self.attempt_with(nameserver.as_ref().map(|one| one.address), row, request).await;
        if let Some(nameserver) = nameserver {
            self.close_names(at, nameserver).await;
        }
        attempt
    }

    async fn attempt_with(
        &self,
        dns: Option<Ipv4Addr>,
        row: &StepRow,
        request: &StepRequest,
    ) -> Result<Option<Attempt>, CallError> {
        let at = self.at(row.seq, row.attempt);
        let beside = CallKey::parse(&row.key).map_or_else(|_| Vec::new(), |key| self.services_of(key.branch()));
        if let Some(why) = already_failed(&beside).filter(|_| row.started_at.is_none()) {
            return Ok(Some(Attempt::without_output(outcome::without_service(None, why))));
        }
        for start in 1.. {
            let started = tokio::select! {
                biased;
                () = self.closing.cancelled() => return Ok(None),
                started = self.start(at, (dns, &beside), row, request, start == 1) => started,
            };
            let digest = match started {
                Ok(digest) => digest,
                Err(Refused::Call(error @ CallError::Unavailable(_))) => return Err(error),
                Err(Refused::Call(error)) => return Ok(Some(Attempt::without_output(refused(&error)))),
                Err(Refused::Executor(error)) => return Ok(Some(Attempt::without_output(outcome::of_error(&error)))),
            };
            if row.started_at.is_some() {
                tracing::info!(%at, "a running step is followed again");
            }
            let since = self.note_start(row, digest).await?;
            let limit = request.timeout.map(|timeout| timeout.saturating_sub(since));
            match self.watch_beside(at, limit, &beside).await {
                Seen::Ended(end) => {
                    let mut attempt = self.ended(at, row, request, &end, None).await?;
                    if attempt.outcome.cause != Cause::Success
                        && let Some(why) = failed_of(&beside).await
                    {
                        attempt.outcome = outcome::without_service(Some(&end), why);
                    }
                    return Ok(Some(attempt));
                }
                Seen::TimedOut(Some(end)) => {
                    return self.ended(at, row, request, &end, request.timeout).await.map(Some);
                }
                Seen::TimedOut(None) => {
                    let outcome = outcome::timed_out(request.timeout.unwrap_or_default());
                    return Ok(Some(Attempt::without_output(outcome)));
                }
                Seen::Lost => {
                    self.put_down(at).await;
                    return Ok(self.still_open().is_ok().then(|| Attempt::without_output(outcome::lost())));
                }
                Seen::Stopped => return Ok(None),
                Seen::NotStarted if start < STARTS => {}
                Seen::NotStarted => break,
            }
        }
        let error = ExecutorError::Start("the executor accepted the step and did not start it".to_owned());
        Ok(Some(Attempt::without_output(outcome::of_error(&error))))
    }

    /// Starts an attempt; gives the digest of its image.
    async fn start(
        &self,
        at: StepAt,
        (dns, beside): (Option<Ipv4Addr>, &[Arc<Service>]),
        row: &StepRow,
        request: &StepRequest,
        first: bool,
    ) -> Result<Option<String>, Refused> {
        let name = self.image_of(request);
        // What an earlier master started has its root.
        let image = match row.started_at.filter(|_| first) {
            Some(_) => None,
            None => self.image(row, &name, false).await.map_err(Refused::Executor)?,
        };
        // May take a while: nobody waits with a mask for this.
        let filled = self.fill_caches(at, row, request, home_of(request)).await.map_err(Refused::Executor)?;
        // Nobody may add a mask between the moment they are read and the moment the shim has them.
        let _gate = self.masks.gate.read().await;
        let job = self.row.id;
        let rows = self.engine.store.read(move |view| steps::of_job(view, job)).await.map_err(CallError::from)?;
        let mut notes = self.notes(row, &rows, request).await?;
        notes.extend(image.as_ref().and_then(Ready::note));
        notes.extend(filled.notes);
        let room = room(self.engine.bounds.log_bytes, &rows);
        let mut spec = self.step_spec(request, image.as_ref(), room, notes).await?;
        spec.caches = filled.mounts;
        spec.dns = dns;
        if dns.is_some() {
            spec.hosts.extend(host_entries(beside));
        }
        self.reach_registry(request, &mut spec).await?;
        let started = ensure(&self.engine, at, || async {
            let (log, index) = self.streams(row).await?;
            self.engine.executor.ensure_step(at, spec.clone(), log, index).await
        })
        .await;
        if let Err(ExecutorError::ImagePull { .. }) = &started {
            self.forget_image(&name);
        }
        started.map(|()| image.map(|ready| ready.image.digest.clone())).map_err(Refused::Executor)
    }

    /// The files of a log stream, made where they are missing.
    pub(super) async fn streams(&self, row: &StepRow) -> Result<(std::fs::File, std::fs::File), ExecutorError> {
        let stream = self.stream(row);
        let made = tokio::task::spawn_blocking(move || stream.create()).await;
        let made = made.map_err(|error| ExecutorError::Start(error.to_string()))?;
        made.map_err(|error| ExecutorError::Start(format!("the log could not be made: {}", chain(&error))))
    }

    /// Told once in a job: to the first step outside branches that asks for a network that is not there, however often
    /// a master dies meanwhile.
    async fn notes(&self, row: &StepRow, rows: &[StepRow], request: &StepRequest) -> Result<Vec<String>, CallError> {
        // Which of the steps side by side comes first differs from run to run: the remark must not.
        if !request.network || !row.branch.is_empty() || self.network_told.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let Ok(probe) = self.engine.executor.probe().await else { return Ok(Vec::new()) };
        let Some(note) = network_note(&probe, request.network) else { return Ok(Vec::new()) };
        let job = self.row.id;
        let calls = self.engine.store.read(move |view| journal::of_job(view, job)).await?;
        let earlier = |other: &&StepRow| {
            let before = (other.seq, other.attempt) < (row.seq, row.attempt);
            other.seq > 0 && before && other.branch.is_empty() && other.job_attempt == row.job_attempt
        };
        let asking =
            |other: &&StepRow| calls.iter().any(|call| call.key == other.key && asks_for_network(&call.request));
        let told = rows.iter().filter(earlier).find(asking);
        if told.is_some_and(|first| first.started_at.is_some()) {
            // Later steps need not read the journal for this.
            self.network_told.store(true, Ordering::Relaxed);
        }
        Ok(if told.is_some() { Vec::new() } else { vec![note] })
    }

    /// Notes that the container runs; answers how long it has run.
    pub(super) async fn note_start(&self, row: &StepRow, digest: Option<String>) -> Result<Duration, CallError> {
        let now = self.engine.clock.now();
        let Some(started) = row.started_at else {
            let (lease, id) = (self.lease.id, row.id);
            let noted = self.engine.store.write("orchestrator.step_running", Durability::Progress, move |tx| {
                steps::start(tx, lease, id, now, digest.as_deref())
            });
            noted.await?;
            return Ok(Duration::ZERO);
        };
        Ok(Duration::try_from(now.duration_since(started)).unwrap_or_default())
    }

    async fn ended(
        &self,
        at: StepAt,
        row: &StepRow,
        request: &StepRequest,
        end: &StepEnd,
        timeout: Option<Duration>,
    ) -> Result<Attempt, CallError> {
        let bound = Bound {
            limits: self.limits_of(request),
            log_bytes: self.engine.bounds.log_bytes,
            workspace_bytes: self.workspace_bytes(),
        };
        let mut attempt = Attempt {
            outcome: outcome::of_end(end, &bound, timeout),
            ran: Duration::from_nanos(u64::try_from(end.ended_ns - end.started_ns).unwrap_or(0)),
            log_bytes: Some(end.log_bytes),
            stdout: String::new(),
            captured: String::new(),
        };
        if !attempt.outcome.message.is_empty()
            && let Some(denied) = self.denied_names(row.seq).await
        {
            attempt.outcome.message.push_str(&denied);
        }
        match request.capture {
            Capture::No => {}
            Capture::Stdout => attempt.stdout = self.stdout_of(row).await?,
            Capture::Secret if attempt.outcome.cause == Cause::Success => {
                match self.keep_captured(at, &row.key).await {
                    Ok(handle) => attempt.captured = handle,
                    Err(error @ CallError::Unavailable(_)) => return Err(error),
                    Err(error) => attempt.outcome = refused(&error),
                }
            }
            Capture::Secret => {}
        }
        if let Some(build) = request.build.as_ref().filter(|_| attempt.outcome.cause == Cause::Success) {
            match self.built(build).await? {
                Some(image) => attempt.stdout = image,
                None => attempt.outcome = refused(&CallError::Invalid("the builder pushed no image".to_owned())),
            }
        }
        Ok(attempt)
    }
}

/// Whether a journaled step wants a network; defaults are not written down.
fn asks_for_network(request: &str) -> bool {
    let fields: Result<serde_json::Value, _> = serde_json::from_str(request);
    fields.is_ok_and(|fields| fields.get("no_network").and_then(serde_json::Value::as_bool) != Some(true))
}

/// Why an attempt was not started.
enum Refused {
    Call(CallError),
    Executor(ExecutorError),
}

impl From<CallError> for Refused {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// The danubefile is at fault: trying again can't help.
fn refused(error: &CallError) -> Outcome {
    outcome::of_error(&ExecutorError::User(error.to_string()))
}
