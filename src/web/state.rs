//! What every handler can reach.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::chain::Chain;
use super::growth::Growth;
use super::hooks::Hooks;
use super::limits::Limits;
use super::metrics::{Requests, Tally};
use crate::auth::login::Door;
use crate::auth::{Attempts, Passwords};
use crate::config::Network;
use crate::logs::LineIndexes;
use crate::model::JobId;
use crate::platform::Ids;
use crate::registry::Registry;
use crate::secrets::Vault;
use crate::store::Store;
use crate::trigger;

/// Followers of live logs at once; beyond, a page is still whole without following.
pub(super) const FOLLOWERS: usize = 512;

/// Searches at once: each keeps a thread and the disk busy.
const SEARCHES: usize = 4;

/// A published key of this server.
#[derive(Debug, Clone)]
pub struct PublicKey {
    /// Hex SHA-256 of its SPKI DER.
    pub id: String,
    /// PEM.
    pub pem: String,
}

/// What the console is made of.
pub struct Setup {
    /// Makes cookies, tokens, links.
    pub ids: Arc<dyn Ids>,
    /// `<data>/logs`.
    pub logs: PathBuf,
    /// `<data>/artifacts`.
    pub artifacts: PathBuf,
    /// The keys that verify attestations, the one in use first.
    pub keys: Vec<PublicKey>,
    /// Where people reach the server, `https://danube.example.com`.
    pub public_url: Option<String>,
    /// What attestations call this server (`provenance::builder_id`).
    pub builder: String,
    /// The listener speaks TLS itself.
    pub tls: bool,
    /// Addresses whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Takes deliveries and starts jobs; its store and vault are the console's too.
    pub trigger: trigger::Ctx,
    /// The server stops: followers are let go.
    pub stop: CancellationToken,
    /// Calls to what runs beside.
    pub hooks: Hooks,
    /// The registry beside the server; none in tests.
    pub registry: Option<Arc<Registry>>,
}

/// The state of the console; clones share it.
#[derive(Clone)]
pub struct AppState(Arc<App>);

/// What the clones of an `AppState` share.
pub struct App {
    pub(super) store: Store,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) keys: Vec<PublicKey>,
    pub(super) public_url: Option<String>,
    pub(super) builder: String,
    pub(super) tls: bool,
    pub(super) trusted_proxies: Vec<Network>,
    pub(super) vault: Vault,
    pub(super) trigger: trigger::Ctx,
    pub(super) stop: CancellationToken,
    pub(super) hooks: Hooks,
    pub(super) registry: Option<Arc<Registry>>,
    pub(super) door: Door,
    pub(super) followers: Arc<Semaphore>,
    pub(super) limits: Limits,
    pub(super) chain: Chain,
    pub(super) requests: Requests,
    pub(super) tally: Tally,
    pub(super) started_at: Timestamp,
    pub(super) growth: Growth,
    pub(super) searches: Arc<Semaphore>,
    pub(super) lines: LineIndexes,
    logs: PathBuf,
    artifacts: PathBuf,
}

impl AppState {
    /// Puts the parts together.
    pub fn new(setup: Setup) -> Self {
        let door = Door {
            store: setup.trigger.store.clone(),
            ids: Arc::clone(&setup.ids),
            attempts: Arc::new(Attempts::default()),
            passwords: Passwords::default(),
        };
        let started_at = setup.trigger.store.clock().now();
        Self(Arc::new(App {
            store: setup.trigger.store.clone(),
            ids: setup.ids,
            keys: setup.keys,
            public_url: setup.public_url.map(|url| url.trim_end_matches('/').to_owned()),
            builder: setup.builder,
            tls: setup.tls,
            trusted_proxies: setup.trusted_proxies,
            vault: setup.trigger.vault.clone(),
            trigger: setup.trigger,
            growth: Growth::new(setup.stop.clone()),
            stop: setup.stop,
            hooks: setup.hooks,
            registry: setup.registry,
            door,
            followers: Arc::new(Semaphore::new(FOLLOWERS)),
            limits: Limits::default(),
            chain: Chain::default(),
            requests: Requests::default(),
            tally: Tally::default(),
            started_at,
            searches: Arc::new(Semaphore::new(SEARCHES)),
            lines: LineIndexes::default(),
            logs: setup.logs,
            artifacts: setup.artifacts,
        }))
    }
}

impl std::ops::Deref for AppState {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}

impl App {
    /// Now.
    pub(super) fn now(&self) -> Timestamp {
        self.store.clock().now()
    }

    /// The directory of a job's log streams.
    pub(super) fn logs_of(&self, job: JobId) -> PathBuf {
        dir_of(&self.logs, job)
    }

    /// The directory of a job's artifacts.
    pub(super) fn artifacts_of(&self, job: JobId) -> PathBuf {
        dir_of(&self.artifacts, job)
    }

    /// What lies where, as people call it.
    pub(super) fn dirs(&self) -> Vec<(&'static str, PathBuf)> {
        let database = self.store.path().parent().unwrap_or_else(|| Path::new("/")).to_owned();
        let mirrors = self.trigger.repos.dir().to_owned();
        vec![
            ("database", database),
            ("logs", self.logs.clone()),
            ("artifacts", self.artifacts.clone()),
            ("mirrors", mirrors),
        ]
    }

    /// Cookies go over TLS alone.
    pub(super) fn secure_cookies(&self) -> bool {
        self.tls || self.public_url.as_ref().is_some_and(|url| url.starts_with("https://"))
    }
}

fn dir_of(root: &Path, job: JobId) -> PathBuf {
    root.join(job.to_string())
}
