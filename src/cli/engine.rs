//! Puts the rooms together to what drives jobs; the same for `serve` and `run`.
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use crate::config;
use crate::coordinator;
use crate::egress::{Upstream, nameservers};
use crate::executor::{Executor, KeepLayers, Limits};
use crate::orchestrator::{Bounds, BuilderFacts, CacheGate, Dirs, Engine, Images, JobKey, Keeping, RegistrySource};
use crate::platform::{Clock, Ids};
use crate::provenance::SigningKey;
use crate::registry::Registry;
use crate::secrets::Vault;
use crate::store::Store;

/// What differs between a server and a run.
pub(super) struct Parts {
    pub(super) data: PathBuf,
    pub(super) store: Store,
    pub(super) vault: Vault,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) bounds: Bounds,
    pub(super) builder: BuilderFacts,
    pub(super) signing: Option<SigningKey>,
    pub(super) public_url: Option<String>,
    /// Whom to ask for names; empty: whom the machine asks.
    pub(super) dns: Vec<SocketAddr>,
    pub(super) images: Images,
    pub(super) registry: Option<Arc<Registry>>,
}

/// What the host's configuration says about images.
#[derive(Debug, Clone)]
pub(super) struct ImageBounds {
    dirs: Vec<PathBuf>,
    keep: KeepLayers,
}

impl ImageBounds {
    pub(super) fn of(executor: &config::Executor) -> Self {
        let keep = KeepLayers { bytes: executor.images_max_bytes, seconds: executor.images_max_age.as_secs() };
        Self { dirs: executor.image_dirs.clone(), keep }
    }

    /// What fetches images, with registries from there.
    pub(super) fn images(&self, source: RegistrySource) -> anyhow::Result<Images> {
        Ok(Images::new(source, self.dirs.clone(), self.keep)?)
    }
}

pub(super) fn engine(parts: Parts) -> anyhow::Result<Arc<Engine>> {
    let keys = parts.data.join("keys");
    let dirs = Dirs {
        logs: parts.data.join("logs"),
        artifacts: parts.data.join("artifacts"),
        scratch: parts.data.join("scratch"),
    };
    for dir in [&keys, &dirs.logs, &dirs.artifacts, &dirs.scratch] {
        private_dir(dir)?;
    }
    let job_key = JobKey::load_or_create(&keys, parts.ids.as_ref())?;
    let machine = boot_id()?;
    let servers = match parts.dns.is_empty() {
        true => nameservers(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default()),
        false => parts.dns,
    };
    let upstream = Upstream::new(servers, Arc::clone(&parts.ids));
    Ok(Arc::new(Engine {
        store: parts.store,
        executor: parts.executor,
        clock: parts.clock,
        ids: parts.ids,
        vault: parts.vault,
        dirs,
        bounds: parts.bounds,
        builder: parts.builder,
        job_key,
        signing: parts.signing,
        public_url: parts.public_url,
        machine,
        upstream,
        images: parts.images,
        registry: parts.registry,
        serve: Arc::new(|listener, job, stop| Box::pin(coordinator::serve(listener, job, stop))),
        cache_gate: CacheGate::default(),
    }))
}

/// Changes with every start of the machine. A test says what it is, where it can't start one.
fn boot_id() -> anyhow::Result<String> {
    if let Ok(id) = std::env::var("DANUBE_TEST_BOOT_ID") {
        return Ok(id);
    }
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("cannot read the machine's boot id")?;
    Ok(id.trim().to_owned())
}

/// The bounds of jobs that the host's configuration sets.
pub(super) fn bounds(limits: &config::Limits, keeping: Keeping) -> Bounds {
    let base = Bounds::default();
    // What a step gets that asks for nothing; a machine with less gives what it has.
    let step = Limits {
        cpu: limits.cpu,
        memory_bytes: base.step.memory_bytes.min(limits.memory),
        pids: base.step.pids.min(limits.pids),
    };
    let ceiling = Limits { cpu: limits.cpu, memory_bytes: limits.memory, pids: limits.pids };
    Bounds {
        log_bytes: limits.max_log_bytes,
        artifact_bytes: limits.max_artifact_bytes,
        keeping,
        step,
        ceiling,
        ..base
    }
}

/// A directory that only its owner may enter; well where it stands.
pub(super) fn private_dir(dir: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the directory {}", dir.display()))
}
