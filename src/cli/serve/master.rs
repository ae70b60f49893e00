//! A master's life: open, take over, serve, stop.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::engine::{ImageBounds, Parts, bounds, engine};
use crate::config::Config;
use crate::config_repo::{self, Sync};
use crate::executor::Executor;
use crate::executor::remote::Client;
use crate::images::{Direct, Login};
use crate::mirror::Repos;
use crate::orchestrator::{
    Bounds, BuilderFacts, CacheBounds, Engine, Keeping, RegistrySource, Scheduler, keep_in_bounds,
    keep_layers_in_bounds, remove_temporary,
};
use crate::platform::{Clock, DataDir, Ids, SystemClock, SystemIds, Tasks, Trouble};
use crate::provenance::{self, SigningKey};
use crate::registry::{self, Registry};
use crate::secrets;
use crate::store::Store;
use crate::trigger;
use crate::web::{self, AppState, Hooks, PublicKey, Setup};

/// How long running work gets when the server stops. Steps go on without it.
const FAREWELL: Duration = Duration::from_secs(15);
/// How often the data directory is looked at, and where something is wrong with it.
const LOOK: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or Ctrl-C.
pub(super) async fn run(
    config: Config,
    listener: std::net::TcpListener,
    data: &Path,
    socket: &Path,
    instance: &str,
) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids: Arc<dyn Ids> = Arc::new(SystemIds::new());
    let tasks = Tasks::new();
    let stop = tasks.stop_token();
    let listener = TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    for dir in [data.to_owned(), data.join("keys"), data.join("scratch")] {
        remove_temporary(&dir);
    }
    let store = Store::open(data, Arc::clone(&clock), Arc::clone(&ids))?;
    let keys = data.join("keys");
    let vault = secrets::open(&store, &keys, Arc::clone(&ids)).await?;
    let signing = signing_key(&keys, ids.as_ref())?;
    let public = PublicKey { id: signing.public().keyid().to_owned(), pem: signing.public().to_pem() };
    let client = Arc::new(Client::new(socket));
    let probe = client.probe().await.context("the executor does not answer")?;
    for line in &probe.not_enforced {
        tracing::warn!(executor = probe.kind, "not enforced: {line}");
    }
    for line in &probe.warnings {
        tracing::warn!(executor = probe.kind, "{line}");
    }
    let builder = provenance::builder_id(config.server.public_url.as_deref(), instance);
    let public_url = Some(config.server.public_url.clone().unwrap_or_else(|| format!("http://{address}")));
    let registry = open_registry(&config, data, &store)?;
    let engine = engine(Parts {
        data: data.to_owned(),
        store: store.clone(),
        vault: vault.clone(),
        clock,
        ids: Arc::clone(&ids),
        executor: client,
        bounds: Bounds {
            caches: caches(&config),
            coordinator_image: config.executor.coordinator_image.clone(),
            builder_image: config.executor.builder_image.clone(),
            ..bounds(&config.executor.limits, keeping(&config))
        },
        builder: BuilderFacts {
            id: builder.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_repository: config.config_repo.url.clone(),
            config_ref: format!("refs/heads/{}", config.config_repo.branch),
        },
        signing: Some(signing),
        public_url: public_url.clone(),
        dns: config.executor.dns.clone(),
        images: ImageBounds::of(&config.executor).images(RegistrySource::Config)?,
        registry: Some(Arc::clone(&registry)),
    })?;
    lead_to(&registry, &engine, &tasks).await?;
    let repos = Arc::new(Repos::open(&data.join("repos"))?);
    let trigger = trigger::Ctx {
        store: store.clone(),
        repos,
        known_hosts: keys.join("known_hosts"),
        vault,
        room: trigger::Room::default(),
    };
    let sync = config_sync(&config, data, &store).await?;
    let watched = Arc::new(DataDir::open(data).with_context(|| format!("cannot open {}", data.display()))?);
    let state = AppState::new(Setup {
        ids,
        logs: data.join("logs"),
        artifacts: data.join("artifacts"),
        keys: vec![public],
        builder,
        public_url,
        tls: false,
        trusted_proxies: config.server.trusted_proxies.clone(),
        trigger: trigger.clone(),
        stop: stop.clone(),
        hooks: hooks(&sync, &engine, &watched, &registry),
        registry: Some(Arc::clone(&registry)),
    });
    let kept = Arc::clone(&engine);
    let collected = Arc::clone(&registry);
    tasks.spawn("registry", |stop| registry.run(stop));
    tasks.spawn("registry's garbage", |stop| registry::collect_daily(collected, stop));
    tasks.spawn("kept workspaces", |stop| keep_in_bounds(kept, stop));
    let layers = Arc::clone(&engine);
    tasks.spawn("layers of images", |stop| keep_layers_in_bounds(layers, stop));
    let scheduler = Scheduler::new(engine, trigger.clone(), format!("{}@{instance}", std::process::id()));
    let jobs = tasks.clone();
    tasks.spawn("scheduler", |stop| scheduler.run(jobs, stop));
    let deliveries = trigger.clone();
    tasks.spawn("deliveries", |stop| trigger::run(deliveries, stop));
    tasks.spawn("cron", |stop| trigger::cron::run(trigger, stop));
    tasks.spawn("config sync", move |stop| async move { sync.run(&store, stop).await });
    let local = local_socket(data)?;
    let machine = state.clone();
    tasks.spawn("local socket", |stop| web::serve_unix(local, machine, stop));
    tasks.spawn("http", |stop| web::serve_tcp(listener, state, stop));
    crate::platform::atomic::write("cli.address", &data.join("http.addr"), address.to_string().as_bytes(), 0o644)?;
    tracing::info!(%address, data = %data.display(), "danube serves");
    if !data.starts_with("/var/lib/danube") {
        let socket = data.join("api.sock");
        tracing::info!("the command line finds this server by DANUBE_SOCKET={}", socket.display());
    }
    tracing::info!("the way into the console before the first login: danube admin link");
    let gone = tokio::select! {
        () = interrupted() => None,
        sentence = gone(&watched) => Some(sentence),
    };
    tracing::info!("stopping; running steps go on and are met again at the next start");
    if !tasks.shutdown(FAREWELL).await {
        tracing::warn!("some work did not stop in time");
    }
    remove(&data.join("http.addr"));
    remove(&data.join("api.sock"));
    // Said once more where it is seen last. Nothing can be kept any more, so it is no good end.
    gone.map_or(Ok(()), |sentence| Err(anyhow!(sentence)))
}

/// Looks at the data directory now and then; ends where it is not in its place any more.
async fn gone(data: &Arc<DataDir>) -> String {
    loop {
        let (looked, sentence) = (look(data).await, data.sentence());
        if looked == Some(Trouble::Gone) {
            return sentence.unwrap_or_default();
        }
        tokio::time::sleep(if looked.is_none() { LOOK } else { LOOK_AGAIN }).await;
    }
}

/// Where no thread is to be had, the last look counts.
async fn look(data: &Arc<DataDir>) -> Option<Trouble> {
    let this = Arc::clone(data);
    tokio::task::spawn_blocking(move || this.look()).await.unwrap_or_else(|_| data.trouble())
}

fn keeping(config: &Config) -> Keeping {
    Keeping { age: config.executor.keep_workspaces_for, bytes: config.executor.keep_workspaces_bytes }
}

fn caches(config: &Config) -> CacheBounds {
    CacheBounds { bytes: config.executor.caches_max_bytes, pipeline_bytes: config.executor.pipeline_caches_max_bytes }
}

fn signing_key(keys: &Path, ids: &dyn Ids) -> anyhow::Result<SigningKey> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    ids.fill(seed.as_mut());
    Ok(provenance::load_or_create(keys, &seed)?)
}

async fn config_sync(config: &Config, data: &Path, store: &Store) -> anyhow::Result<Arc<Sync>> {
    let mirror = config_repo::Mirror::new(data, &config.config_repo)?;
    let sync = Sync::new(mirror, config.config_repo.sync_interval);
    sync.load(store).await?;
    Ok(Arc::new(sync))
}

/// Images of steps that lie in the registry beside this server are pulled from it past its proxy for jobs.
async fn lead_to(registry: &Arc<Registry>, engine: &Engine, tasks: &Tasks) -> anyhow::Result<()> {
    if registry.absent().is_some() {
        return Ok(());
    }
    let own = TcpListener::bind("127.0.0.1:0").await.context("cannot listen for the registry's images")?;
    let (user, password) = registry.own_login();
    let address = format!("http://{}", own.local_addr()?);
    engine.images.lead(registry::HOST_PORT, Direct { address, login: Some(Login { user, password }) });
    let served = Arc::clone(registry);
    tasks.spawn("images of the registry", |stop| served.serve_own(own, stop));
    Ok(())
}

fn open_registry(config: &Config, data: &Path, store: &Store) -> anyhow::Result<Arc<Registry>> {
    Ok(Registry::open(registry::Setup {
        store: store.clone(),
        dir: data.join("registry"),
        keys: data.join("keys"),
        program: config.registry.program.clone(),
        quota: config.registry.quota,
    })?)
}

fn hooks(sync: &Arc<Sync>, engine: &Arc<Engine>, data: &Arc<DataDir>, registry: &Arc<Registry>) -> Hooks {
    let registry = Arc::clone(registry);
    let (told, data) = (Arc::clone(data), Arc::clone(data));
    let (wake, look, seen, engine) = (Arc::clone(sync), Arc::clone(sync), Arc::clone(sync), Arc::clone(engine));
    Hooks {
        config: Arc::new(move || seen.status()),
        sync: Arc::new(move || wake.wake()),
        data: Arc::new(move || told.sentence()),
        down: Arc::new(move || {
            let (look, engine, data) = (Arc::clone(&look), Arc::clone(&engine), Arc::clone(&data));
            let registry = Arc::clone(&registry);
            Box::pin(async move {
                let mut down: Vec<String> = data.trouble().iter().map(|trouble| trouble.name().to_owned()).collect();
                if engine.store.read(|view| crate::store::settings::find(view, "ready")).await.is_err() {
                    down.push("database".to_owned());
                }
                let probe = tokio::time::timeout(Duration::from_secs(2), engine.executor.probe());
                if !matches!(probe.await, Ok(Ok(_))) {
                    down.push("executor".to_owned());
                }
                // Where there is none, nobody waits for it.
                if matches!(registry.state(), registry::State::Down(_)) {
                    down.push("registry".to_owned());
                }
                if look.status().in_force.is_none() {
                    down.push("config repo".to_owned());
                }
                down
            })
        }),
    }
}

/// The machine's own door to the API. Anybody may knock, root and this process's user are let in.
fn local_socket(data: &Path) -> anyhow::Result<UnixListener> {
    let path = data.join("api.sock");
    remove(&path);
    let listener = UnixListener::bind(&path).with_context(|| format!("cannot listen at {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "a file could not be removed");
        }
        _ => {}
    }
}

/// Waits for SIGTERM or Ctrl-C.
pub(in crate::cli) async fn interrupted() {
    let never = || std::future::pending::<()>();
    let term = async {
        match signal(SignalKind::terminate()) {
            Ok(mut term) => {
                term.recv().await;
            }
            Err(_) => never().await,
        }
    };
    let int = async {
        if tokio::signal::ctrl_c().await.is_err() {
            never().await;
        }
    };
    tokio::select! {
        () = term => {}
        () = int => {}
    }
}
