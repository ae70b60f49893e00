//! What every driver of a job is handed.
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::credential::JobKey;
use super::{CacheBounds, CacheGate, Images, Keeping, LiveJob};
use crate::egress::Upstream;
use crate::executor::{Executor, Limits};
use crate::model::JobId;
use crate::platform::{Clock, Ids};
use crate::provenance::SigningKey;
use crate::registry::Registry;
use crate::secrets::Vault;
use crate::store::Store;

/// Answers a job's calls on its socket until it is told to stop (`coordinator::serve`).
pub type Serve = Arc<dyn Fn(UnixListener, Arc<LiveJob>, CancellationToken) -> BoxFuture<'static, ()> + Send + Sync>;

/// The context of all drivers; shared.
pub struct Engine {
    /// The database.
    pub store: Store,
    /// What runs containers.
    pub executor: Arc<dyn Executor>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and random bytes.
    pub ids: Arc<dyn Ids>,
    /// Encrypts what a job makes at run time.
    pub vault: Vault,
    /// Where files go.
    pub dirs: Dirs,
    /// Bounds of jobs.
    pub bounds: Bounds,
    /// What the signed records say about this installation.
    pub builder: BuilderFacts,
    /// Derives the credentials of jobs.
    pub job_key: JobKey,
    /// Signs the records of jobs; none in `danube run`.
    pub signing: Option<SigningKey>,
    /// Where people find the console.
    pub public_url: Option<String>,
    /// Changes when the machine that runs containers restarts (its boot id).
    pub machine: String,
    /// Whom the machine asks for names.
    pub upstream: Upstream,
    /// Fetches the images of steps.
    pub images: Images,
    /// The registry beside the server; none in `danube run`.
    pub registry: Option<Arc<Registry>>,
    /// Answers the jobs' calls.
    pub serve: Serve,
    /// Keeps the sweep of caches from content that is being stored.
    pub cache_gate: CacheGate,
}

impl Engine {
    /// The page of a job, or its id where no address is known.
    pub(super) fn job_url(&self, job: JobId) -> String {
        match &self.public_url {
            Some(url) => format!("{}/jobs/{job}", url.trim_end_matches('/')),
            None => format!("/jobs/{job}"),
        }
    }
}

/// Directories of the data directory.
#[derive(Debug, Clone)]
pub struct Dirs {
    /// `logs/`.
    pub logs: PathBuf,
    /// `artifacts/`.
    pub artifacts: PathBuf,
    /// For nameless files that are on their way to the executor.
    pub scratch: PathBuf,
}

impl Dirs {
    /// The log streams of a job.
    pub fn logs_of(&self, job: JobId) -> PathBuf {
        self.logs.join(job.to_string())
    }

    /// The stored files of a job.
    pub fn artifacts_of(&self, job: JobId) -> PathBuf {
        self.artifacts.join(job.to_string())
    }
}

/// Bounds of jobs, from the host's configuration.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Bytes of all logs of one job.
    pub log_bytes: u64,
    /// Bytes of one artifact.
    pub artifact_bytes: u64,
    /// Workspaces of jobs that ended without success.
    pub keeping: Keeping,
    /// What steps leave for later jobs.
    pub caches: CacheBounds,
    /// Of a step that asks for nothing else.
    pub step: Limits,
    /// The most that a step may ask for.
    pub ceiling: Limits,
    /// Of the coordinator.
    pub coordinator: Limits,
    /// The image of the coordinator.
    pub coordinator_image: String,
    /// The image of `images.build`.
    pub builder_image: String,
    /// The image of a step that names none.
    pub default_image: String,
    /// Between asking a process to end and ending it.
    pub grace: Duration,
    /// How long an executor that gives no answer is waited for.
    pub patience: Duration,
    /// Between two renewals of a lease.
    pub renew_every: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            log_bytes: 1 << 30,
            artifact_bytes: 2 << 30,
            keeping: Keeping::default(),
            caches: CacheBounds::default(),
            step: Limits { cpu: 0.0, memory_bytes: 2 << 30, pids: 4096 },
            ceiling: Limits { cpu: 256.0, memory_bytes: 1 << 40, pids: 65_536 },
            coordinator: Limits { cpu: 1.0, memory_bytes: 256 << 20, pids: 256 },
            coordinator_image: "host".to_owned(),
            builder_image: "gcr.io/kaniko-project/executor:latest".to_owned(),
            default_image: "host".to_owned(),
            grace: Duration::from_secs(10),
            patience: Duration::from_secs(60),
            renew_every: Duration::from_secs(15),
        }
    }
}

/// What the signed records say about this installation.
#[derive(Debug, Clone)]
pub struct BuilderFacts {
    /// From `provenance::builder_id`.
    pub id: String,
    /// The version of Danube.
    pub version: String,
    /// The address of the config repo.
    pub config_repository: String,
    /// The full ref of its branch.
    pub config_ref: String,
}
