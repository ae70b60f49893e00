//! One job while a master drives it. Nothing in here is the only copy of anything: what counts is
//! in the rows, and a new master makes a new one of these from them.
use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bounds::STEPS_AT_ONCE;
use super::egress::Network;
use super::masks::{MASKED, Masks};
use super::pulling::JobImages;
use super::reach::Reach;
use super::reuse::Reuse;
use super::services::Service;
use super::{CallError, DriveError, Engine, Origin};
use crate::executor::StepAt;
use crate::logs::{StreamFile, StreamName};
use crate::model::Secret;
use crate::model::call::CallKey;
use crate::model::settings::Pipeline;
use crate::queue::{Claimed, Lease};
use crate::secrets::{self, SecretSource};
use crate::store::{JobRow, StepRow};

/// Why a job is being ended although its danubefile has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// Somebody asked for it.
    Cancelled,
    /// Its time is up.
    Deadline,
    /// The danubefile did what fails the job whatever it does next.
    Failed(CallError),
    /// The danubefile has ended; what it left running ends with it.
    Over,
}

type Progress = watch::Receiver<Option<Result<(), CallError>>>;

/// A job while it is driven.
pub struct LiveJob {
    pub(super) engine: Arc<Engine>,
    pub(super) row: JobRow,
    pub(super) pipeline: Pipeline,
    pub(super) lease: Lease,
    pub(super) origin: Arc<dyn Origin>,
    pub(super) secrets: Arc<dyn SecretSource>,
    pub(super) masks: Masks,
    /// What it takes from its parent, where it goes on in the parent's workspace.
    pub(super) reuse: Option<Arc<Reuse>>,
    /// Bounds how many steps run at once.
    pub(super) slots: Semaphore,
    /// The work of calls; outlives the connection that asked for it.
    pub(super) work: TaskTracker,
    /// Cancelled when the job is to end: calls are refused, steps are ended.
    pub(super) closing: CancellationToken,
    /// Cancelled when this master must not touch the job any more.
    pub(super) halt: CancellationToken,
    /// The services of bodies that have not ended, by branch.
    pub(super) services: Mutex<HashMap<String, Arc<Service>>>,
    /// Numbers of services that have ended and whose networks could not be taken away.
    pub(super) services_left: Mutex<BTreeSet<u8>>,
    /// What it may reach, and by what.
    pub(super) network: Network,
    /// The images of its steps.
    pub(super) images: JobImages,
    /// Where the registry listens for it.
    pub(super) reach: Reach,
    /// A step was told that it has no network.
    pub(super) network_told: AtomicBool,
    ending: OnceLock<Ending>,
    under_way: Mutex<HashMap<CallKey, Progress>>,
}

impl LiveJob {
    /// Reads what a master needs to drive a leased job.
    pub(super) async fn open(
        engine: Arc<Engine>,
        claimed: Claimed,
        origin: Arc<dyn Origin>,
        source: Arc<dyn SecretSource>,
    ) -> Result<Arc<Self>, DriveError> {
        let Claimed { job: row, lease } = claimed;
        let granted = source.granted().await.map_err(|error| DriveError::Secrets(super::error::chain(&error)))?;
        let mut values: Vec<_> = granted.into_iter().map(|secret| (secret.key, secret.value)).collect();
        let made = secrets::kept_values(&engine.store, &engine.vault, row.id).await;
        let made = made.map_err(|error| DriveError::Secrets(super::error::chain(&error)))?;
        values.extend(made.into_iter().map(|secret| (MASKED.to_owned(), secret.value)));
        let reuse = match row.parent.filter(|_| row.reuse) {
            Some(parent) => Some(Arc::new(Reuse::open(&engine.store, row.id, parent).await?)),
            None => None,
        };
        let masks = Masks::new(values).map_err(|error| DriveError::Secrets(error.to_string()))?;
        Ok(Arc::new(Self {
            pipeline: row.pipeline()?,
            engine,
            row,
            lease,
            origin,
            secrets: source,
            masks,
            reuse,
            slots: Semaphore::new(STEPS_AT_ONCE),
            work: TaskTracker::new(),
            closing: CancellationToken::new(),
            halt: CancellationToken::new(),
            services: Mutex::default(),
            services_left: Mutex::default(),
            network: Network::default(),
            images: JobImages::default(),
            reach: Reach::default(),
            network_told: AtomicBool::new(false),
            ending: OnceLock::new(),
            under_way: Mutex::default(),
        }))
    }

    /// Whether a presented credential is the one of this job's attempt.
    pub fn accepts(&self, credential: &str) -> bool {
        self.engine.job_key.accepts(self.row.id, self.row.attempt, credential)
    }

    pub(super) fn credential(&self) -> Secret<String> {
        self.engine.job_key.credential(self.row.id, self.row.attempt)
    }

    pub(super) const fn at(&self, step: u32, attempt: u32) -> StepAt {
        StepAt { job: self.row.id, step, attempt }
    }

    /// The log of an attempt.
    pub(super) fn stream(&self, row: &StepRow) -> StreamFile {
        StreamFile::new(self.engine.dirs.logs_of(self.row.id), StreamName { step: row.seq, attempt: row.attempt })
    }

    /// Ends the job for a reason; the first one counts.
    pub(super) fn close(&self, ending: Ending) {
        // Losing this race is well: the job is being ended already.
        let _known = self.ending.set(ending);
        self.closing.cancel();
    }

    pub(super) fn ending(&self) -> Option<&Ending> {
        self.ending.get()
    }

    /// Refuses a call where the job is being ended.
    pub(super) fn still_open(&self) -> Result<(), CallError> {
        if self.halt.is_cancelled() {
            return Err(CallError::Unavailable("the server is stopping".to_owned()));
        }
        match self.ending() {
            None => Ok(()),
            Some(Ending::Failed(error)) => Err(error.clone()),
            Some(_) => Err(CallError::Cancelled),
        }
    }

    /// Does the work of a call once, whoever waits for it, and waits for its end.
    ///
    /// The work goes on where the caller goes away; sent again, the call finds it under way.
    pub(super) async fn once<F>(self: &Arc<Self>, key: &CallKey, work: F) -> Result<(), CallError>
    where
        F: Future<Output = Result<(), CallError>> + Send + 'static,
    {
        let mut progress = self.progress(key, work);
        tokio::select! {
            biased;
            done = progress.wait_for(Option::is_some) => match done {
                Ok(result) => result.clone().unwrap_or(Ok(())),
                Err(_) => Err(CallError::Unavailable("the server is stopping".to_owned())),
            },
            () = self.closing.cancelled() => Err(self.still_open().err().unwrap_or(CallError::Cancelled)),
        }
    }

    fn progress<F>(self: &Arc<Self>, key: &CallKey, work: F) -> Progress
    where
        F: Future<Output = Result<(), CallError>> + Send + 'static,
    {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = under_way.get(key) {
            return known.clone();
        }
        let (sender, receiver) = watch::channel(None);
        under_way.insert(key.clone(), receiver.clone());
        let (job, key) = (Arc::clone(self), key.clone());
        self.work.spawn(async move {
            let done = tokio::select! {
                biased;
                () = job.halt.cancelled() => return,
                done = work => done,
            };
            job.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            sender.send_replace(Some(done));
        });
        receiver
    }
}
