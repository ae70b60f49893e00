//! Services: containers beside the steps of a branch, from the first call of its body to the last one.
//!
//! Each is a row of its own and is followed by a task of its own, which ends with the service, with the job, or with
//! this master; the next master follows those that still run.
mod beside;
mod places;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(super) use beside::{address_of, already_failed, branch_around, failed_of, host_entries, number_of};

use super::call::{Call, Value};
use super::canonical::Canonical;
use super::egress::{Nameserver, Offline};
use super::journal::{Entry, read};
use super::outcome::{self, Bound, Outcome, seconds};
use super::watching::{Manners, Seen, ensure, persist};
use super::{CallError, LiveJob, bounds};
use crate::executor::Signal;
use crate::model::call::CallKey;
use crate::model::step::{Cause, StepStatus};
use crate::store::journal::{self, CallState};
use crate::store::steps::{self, NewStep, StepEnd, StepKind};
use crate::store::{Durability, StepRow, Tx};

/// How long a service gets to be ready, where the danubefile does not say.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service as the danubefile asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceRequest {
    /// Under which steps reach it.
    pub name: String,
    /// A reference; its own program is run.
    pub image: String,
    /// Where it listens.
    pub port: u16,
    /// Its environment, beside the image's.
    pub env: BTreeMap<String, Value>,
    /// Run in its container until it succeeds; empty: the port accepts connections.
    pub ready: String,
    /// How long it may take to be ready; none: a minute.
    pub ready_timeout: Option<Duration>,
}

/// What became of the start of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAnswer {
    /// The name under which steps reach it.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Why it does not run; empty: it is ready.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What became of a service until the end of its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceEnd {
    /// Why it ended early; empty: it did not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A service that runs, or ran, for a body that has not ended.
pub(super) struct Service {
    name: String,
    branch: String,
    address: Ipv4Addr,
    number: u8,
    /// Why it ended early.
    failed: OnceLock<String>,
    /// Cancelled when it has failed.
    dead: CancellationToken,
    /// Cancelled when its body has ended.
    stop: CancellationToken,
    /// Cancelled when nothing of it lives and its row says how it ended.
    done: CancellationToken,
}

impl Service {
    fn fail(&self, why: String) {
        // The first reason counts.
        let _known = self.failed.set(why);
        self.dead.cancel();
    }
}

impl LiveJob {
    /// Starts a service, or answers with what became of that. Sent again, the call never starts it twice.
    pub async fn start_service(
        self: &Arc<Self>,
        call: Call,
        request: ServiceRequest,
    ) -> Result<ServiceAnswer, CallError> {
        bounds::service(&call, &request)?;
        let canonical = Canonical::service(self.engine.job_key.hmac(), &request);
        let (mut new, lease, reuse) = (self.new_service(&call, &request), self.lease.id, self.reuse.clone());
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
            async move { job.begin_service(call, request, first).await }
        };
        self.once(&call.key, work).await?;
        self.answered(&call).await
    }

    /// Ends a service; tells where it had ended before.
    pub async fn stop_service(self: &Arc<Self>, call: Call) -> Result<ServiceEnd, CallError> {
        if let Entry::Done(bytes) = self.enter(&call, &Canonical::service_end(), |_| Ok(())).await? {
            return read(&bytes);
        }
        let work = {
            let (job, call) = (Arc::clone(self), call.clone());
            async move { job.end_service(&call).await }
        };
        self.once(&call.key, work).await?;
        self.answered(&call).await
    }

    fn new_service(&self, call: &Call, request: &ServiceRequest) -> NewStep {
        NewStep {
            job_id: self.row.id,
            job_attempt: self.row.attempt,
            seq: None,
            attempt: 1,
            branch: self.masks.redact(call.key.branch()),
            key: call.key.to_string(),
            name: format!("service {}", request.name),
            image: crate::images::without_password(&request.image),
            command: self.masks.redact(&match request.ready.is_empty() {
                true => format!("the image's program, ready at port {}", request.port),
                false => format!("the image's program, ready when: {}", request.ready),
            }),
            allow_failure: false,
            kind: StepKind::Service,
        }
    }

    async fn begin_service(
        self: Arc<Self>,
        call: Call,
        request: ServiceRequest,
        first: Option<StepRow>,
    ) -> Result<(), CallError> {
        let row = match first {
            Some(row) => row,
            None => self.newest(&call).await?,
        };
        let message = match self.launch_service(&call, &request, &row).await {
            Ok(service) => self.until_ready(&service, &request, &row).await?,
            Err(Offline::Call(error @ (CallError::Unavailable(_) | CallError::Cancelled))) => return Err(error),
            Err(Offline::Call(error)) => self.not_started(&row, &request, &error.to_string()).await?,
            Err(Offline::Executor(error)) => self.not_started(&row, &request, &error.to_string()).await?,
        };
        let message = self.masks.redact(&message);
        let answer = self.written(Ok(ServiceAnswer { host: request.name, port: request.port, message }))?;
        self.record(&call, answer, |_| Ok(())).await.map(drop)
    }

    /// Starts its container, unless it was started, and somebody who follows it.
    async fn launch_service(
        self: &Arc<Self>,
        call: &Call,
        request: &ServiceRequest,
        row: &StepRow,
    ) -> Result<Arc<Service>, Offline> {
        if let Some(outer) = self.services_of(call.key.branch()).iter().find_map(|outer| outer.failed.get().cloned()) {
            return Err(Offline::Call(CallError::Invalid(outer)));
        }
        if row.status.is_terminal() {
            let why = row.reason.clone().unwrap_or_default();
            return Err(Offline::Call(CallError::Invalid(why)));
        }
        if !self.has_networks().await {
            let why = "services need networks for steps, which this executor does not make".to_owned();
            return Err(Offline::Call(CallError::Invalid(why)));
        }
        // What an earlier master started has its root.
        let image = match row.started_at {
            Some(_) => None,
            None => self.image(row, &request.image, false).await.map_err(Offline::Executor)?,
        };
        let (at, service, nameserver) = self.place_service(&request.name, call.key.branch(), row).await?;
        let gate = self.masks.gate.read().await;
        let started = async {
            let spec = self.service_spec(request, image.as_ref(), &service, nameserver.address).await;
            let spec = spec.map_err(Offline::Call)?;
            let started = ensure(&self.engine, at, || async {
                let (log, index) = self.streams(row).await?;
                self.engine.executor.ensure_step(at, spec.clone(), log, index).await
            });
            started.await.map_err(Offline::Executor)
        };
        if let Err(why) = started.await {
            // Said again, the call makes it again; said no more, its number is the next one's.
            drop(gate);
            self.leave_network(at, service.number, nameserver).await;
            return Err(why);
        }
        let digest = image.map(|ready| ready.image.digest.clone());
        self.note_start(row, digest).await.map_err(Offline::Call)?;
        self.follow_service(&service, nameserver, row.clone());
        Ok(service)
    }

    /// Waits until it answers; why it never does, or nothing.
    async fn until_ready(
        &self,
        service: &Arc<Service>,
        request: &ServiceRequest,
        row: &StepRow,
    ) -> Result<String, CallError> {
        let at = self.at(row.seq, row.attempt);
        let limit = request.ready_timeout.unwrap_or(PATIENCE);
        let began = row.started_at.map(|from| self.engine.clock.now().duration_since(from));
        let ran = began.and_then(|ran| Duration::try_from(ran).ok()).unwrap_or_default();
        let ready = persist(&self.engine, || self.engine.executor.ready(at));
        tokio::select! {
            biased;
            () = self.closing.cancelled() => return Err(self.still_open().err().unwrap_or(CallError::Cancelled)),
            () = service.dead.cancelled() => {}
            ready = timeout(limit.saturating_sub(ran), ready) => match ready {
                Ok(Ok(true)) => return Ok(String::new()),
                // It has ended: who follows it says how.
                Ok(Ok(false)) => service.dead.cancelled().await,
                Ok(Err(error)) => service.fail(format!("service \"{}\": {error}", service.name)),
                Err(_) => {
                    let what = match request.ready.is_empty() {
                        true => format!("port {} takes no connection", request.port),
                        false => "its ready command does not succeed".to_owned(),
                    };
                    service.fail(format!(
                        "service \"{}\" is not ready after {}: {what}",
                        service.name,
                        seconds(limit)
                    ));
                }
            },
        }
        // What is not ready is of no use to anybody.
        service.stop.cancel();
        service.done.cancelled().await;
        let why = service.failed.get().cloned().unwrap_or_default();
        Ok(format!("{why}{}", self.last_lines(row).await))
    }

    /// A service that could not be started has ended.
    async fn not_started(&self, row: &StepRow, request: &ServiceRequest, why: &str) -> Result<String, CallError> {
        let message = format!("service \"{}\" could not be started: {why}", request.name);
        self.finish_service(row, StepStatus::Failure, None, Some(&message)).await?;
        Ok(message)
    }

    /// Follows a service to its end, in a task of the job's.
    fn follow_service(self: &Arc<Self>, service: &Arc<Service>, nameserver: Nameserver, row: StepRow) {
        let known = {
            let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
            services.insert(service.branch.clone(), Arc::clone(service))
        };
        debug_assert!(known.is_none(), "a service is followed once");
        let (job, service) = (Arc::clone(self), Arc::clone(service));
        self.work.spawn(async move {
            tokio::select! {
                biased;
                () = job.halt.cancelled() => {}
                () = job.follow(&service, nameserver, &row) => {}
            }
        });
    }

    async fn follow(self: &Arc<Self>, service: &Service, nameserver: Nameserver, row: &StepRow) {
        let at = self.at(row.seq, row.attempt);
        let mut seen = {
            let watching = self.watch(at, None, Manners::Term);
            tokio::pin!(watching);
            tokio::select! {
                biased;
                seen = &mut watching => (seen, false),
                () = service.stop.cancelled() => {
                    self.signal(at, Signal::Term).await;
                    let seen = timeout(self.engine.bounds.grace, &mut watching).await;
                    let seen = match seen {
                        Ok(seen) => seen,
                        Err(_) => {
                            self.put_down(at).await;
                            watching.await
                        }
                    };
                    (seen, true)
                }
            }
        };
        if seen.0 == Seen::Lost {
            self.put_down(at).await;
        }
        if service.failed.get().is_some() {
            // It was ended because it had failed.
            seen.1 = false;
        }
        let (status, end, why) = self.end_of_service(service, seen);
        if let Some(why) = &why
            && status == StepStatus::Failure
        {
            service.fail(why.clone());
        }
        // Before its row says that it has ended: from then on another may have its number.
        self.leave_network(at, service.number, nameserver).await;
        let why = service.failed.get().cloned().or(why);
        if let Err(error) = self.finish_service(row, status, end.as_ref(), why.as_deref()).await {
            tracing::warn!(%at, %error, "the end of a service could not be noted; it is noted with the job's");
        }
        service.done.cancel();
    }

    /// What its end means.
    fn end_of_service(
        &self,
        service: &Service,
        (seen, stopped): (Seen, bool),
    ) -> (StepStatus, Option<(Outcome, u64)>, Option<String>) {
        let name = &service.name;
        match seen {
            Seen::Stopped => (StepStatus::Cancelled, None, Some("stopped with its job".to_owned())),
            Seen::Ended(end) if stopped => {
                let outcome = Outcome { cause: Cause::Success, message: String::new(), ..self.outcome_of(&end) };
                (StepStatus::Success, Some((outcome, end.log_bytes)), None)
            }
            Seen::Ended(end) => {
                let outcome = self.outcome_of(&end);
                let how = match outcome.cause {
                    Cause::Success | Cause::Exit if end.error.is_none() && !end.log_overflow && !end.log_truncated => {
                        format!("ended with exit code {}", end.exit_code)
                    }
                    _ => format!("ended: {}", outcome.message),
                };
                let why = format!("service \"{name}\" {how} while its body ran");
                (StepStatus::Failure, Some((outcome, end.log_bytes)), Some(why))
            }
            Seen::TimedOut(_) | Seen::Lost | Seen::NotStarted => {
                (StepStatus::Failure, None, Some(format!("service \"{name}\" was lost: nobody knows how it ended")))
            }
        }
    }

    fn outcome_of(&self, end: &crate::executor::StepEnd) -> Outcome {
        let bound = Bound {
            limits: self.engine.bounds.step,
            log_bytes: self.engine.bounds.log_bytes,
            workspace_bytes: self.workspace_bytes(),
        };
        outcome::of_end(end, &bound, None)
    }

    async fn finish_service(
        &self,
        row: &StepRow,
        status: StepStatus,
        ended: Option<&(Outcome, u64)>,
        why: Option<&str>,
    ) -> Result<(), CallError> {
        let cause = match (status, ended) {
            (StepStatus::Success, _) => Some(Cause::Success),
            (StepStatus::Failure, Some((outcome, _))) if outcome.cause != Cause::Success => Some(outcome.cause),
            (StepStatus::Failure, Some(_)) => Some(Cause::Exit),
            (StepStatus::Failure, None) => Some(Cause::Infra),
            _ => None,
        };
        let end = StepEnd {
            status,
            cause,
            exit_code: ended.map(|(outcome, _)| outcome.exit_code),
            reason: why.map(|why| self.masks.redact(why)),
            log_sha256: None,
            log_bytes: ended.map(|(_, bytes)| *bytes),
            finished_at: self.engine.clock.now(),
        };
        let (lease, id) = (self.lease.id, row.id);
        let noted = self
            .engine
            .store
            .write("orchestrator.service_end", Durability::Progress, move |tx| steps::finish(tx, lease, id, &end));
        Ok(noted.await?)
    }

    async fn end_service(&self, call: &Call) -> Result<(), CallError> {
        let branch = call.key.branch();
        let running = self.services.lock().unwrap_or_else(PoisonError::into_inner).remove(branch);
        let message = match running {
            Some(service) => {
                service.stop.cancel();
                tokio::select! {
                    () = service.done.cancelled() => {}
                    () = self.closing.cancelled() => return Err(self.still_open().err().unwrap_or(CallError::Cancelled)),
                }
                service.failed.get().cloned().unwrap_or_default()
            }
            None => self.early_end(branch).await?,
        };
        let message = self.masks.redact(&message);
        let answer = self.written(Ok(ServiceEnd { message }))?;
        self.record(call, answer, |_| Ok(())).await.map(drop)
    }

    /// Why a service that nobody follows ended, by its row.
    async fn early_end(&self, branch: &str) -> Result<String, CallError> {
        let row = self.service_rows().await?.into_iter().rfind(|row| branch_of(row) == branch);
        let row =
            row.ok_or_else(|| CallError::Invalid("this branch has no service that could be stopped".to_owned()))?;
        Ok(row.reason.filter(|_| row.status == StepStatus::Failure).unwrap_or_default())
    }

    async fn service_rows(&self) -> Result<Vec<StepRow>, CallError> {
        let (job, attempt) = (self.row.id, self.row.attempt);
        let rows = self.engine.store.read(move |view| steps::of_job(view, job)).await?;
        Ok(rows.into_iter().filter(|row| row.kind == StepKind::Service && row.job_attempt == attempt).collect())
    }

    /// Follows the services that an earlier master started. One whose start has no answer yet is met by that call.
    pub(super) async fn adopt_services(self: &Arc<Self>) -> Result<(), CallError> {
        let job = self.row.id;
        let calls = self.engine.store.read(move |view| journal::of_job(view, job)).await?;
        for row in self.service_rows().await? {
            let answered = |call: &&journal::JournalRow| call.key == row.key && call.state == CallState::Done;
            if row.status.is_terminal() || !calls.iter().any(|call| answered(&call)) {
                continue;
            }
            let branch = branch_of(&row);
            let name = row.name.strip_prefix("service ").unwrap_or(&row.name).to_owned();
            match self.place_service(&name, &branch, &row).await {
                Ok((_, service, nameserver)) => {
                    // Its body may have ended while nobody was here to end the service.
                    if calls.iter().any(|call| call.key == format!("{branch}/stop#0")) {
                        service.stop.cancel();
                    }
                    tracing::info!(job = self.row.label(), service = name, "a running service is followed again");
                    self.follow_service(&service, nameserver, row);
                }
                Err(Offline::Call(error)) => return Err(error),
                Err(Offline::Executor(error)) => return Err(CallError::Unavailable(error.to_string())),
            }
        }
        Ok(())
    }
}

/// The branch of a row's call: the row's own is redacted.
fn branch_of(row: &StepRow) -> String {
    CallKey::parse(&row.key).map_or_else(|_| row.branch.clone(), |key| key.branch().to_owned())
}
