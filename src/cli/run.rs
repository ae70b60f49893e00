//! `danube run`: a danubefile on the developer's own checkout, without a server.
//!
//! The same master in one process, a queue of one. What must be read from the caller's directories
//! is read before the rights of root are given up; an ordinary user has none to give.
mod registries;
mod show;
mod source;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::engine::{ImageBounds, Parts, bounds, engine, private_dir};
use super::privileges::{self, Identity, Launch};
use crate::config::{self, Sources};
use crate::executor::Executor;
use crate::executor::remote::Client;
use crate::model::egress::bad_name;
use crate::model::job::Status;
use crate::model::settings::{Concurrency, Pipeline, Settings, Team, TriggerRule};
use crate::model::trigger::Trigger;
use crate::model::{JobId, Principal};
use crate::orchestrator::{Bounds, BuilderFacts, Driven, Keeping, RegistrySource, drive};
use crate::platform::{Clock, Ids, SystemClock, SystemIds};
use crate::queue::{self, NewJob};
use crate::secrets::{self, PlainFile, SecretSource};
use crate::store::{Durability, Store, apply, jobs, pipelines};
pub(super) use source::locate;
use source::{Prepared, prepare};

/// Where root's executors keep what they have on disk.
const OUTER: &str = "/var/lib/danube-executor";

/// The team that owns the one pipeline of a run.
const TEAM: &str = "local";

/// Run a danubefile on this checkout, in containers, without a server
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The repository, or the danubefile in it
    #[arg(default_value = ".")]
    path: PathBuf,
    /// A file of KEY=value lines, mode 0600; DANUBE_SECRET_KEY in the environment works too
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// Where logs, artifacts and the journal go [default: .danube in the repository]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A parameter of the run, as a manual trigger would give it
    #[arg(short = 'p', long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// A name that the steps may reach, such as example.com, or *.example.com for all below it
    #[arg(long, value_name = "NAME")]
    egress: Vec<String>,
    /// The user to run as after the executor was started [default: danube, the sudo user, or a free uid]
    #[arg(long)]
    user: Option<String>,
    /// Ask this mirror before a registry of images, such as docker.io=https://mirror.example.com
    #[arg(long, value_name = "HOST=ADDRESS", env = "DANUBE_REGISTRY_MIRRORS", value_delimiter = ',')]
    registry_mirror: Vec<String>,
    /// Print one JSON object at the end instead of progress
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let root = rustix::process::geteuid().is_root();
    let params = params(&args.params)?;
    let host = host_executor()?;
    // A run ends with all that it made: there is nothing to go on in.
    let bounds = bounds(&host.limits, Keeping::default());
    let egress = egress(&args.egress)?;
    let images = (registries::settings(&args.registry_mirror)?, ImageBounds::of(&host));
    let secrets = PlainFile::load(args.secrets.as_deref(), super::config::environment())?;
    let checkout = source::locate(&args.path)?;
    let identity = match root {
        true => privileges::identity(args.user.as_deref(), &checkout.root)?,
        false => privileges::own_identity(args.user.as_deref())?,
    };
    let data = data_dir(args.data_dir.as_deref(), &checkout.root, &identity)?;
    let ids = SystemIds::new();
    let instance = privileges::instance(&data, &ids)?;
    let prepared = prepare(&checkout, &data)?;
    let place = if root { roots_place(&instance)? } else { own_place(&data, &instance, &identity)? };
    let launch = Launch {
        tools: None,
        root: &place.root,
        instance: &instance,
        master_uid: identity.uid,
        host_image: true,
        allow: &host.allow,
        temporary: true,
        egress_pool: &host.egress_pool,
        egress_private: &host.egress_private,
    };
    let socket = match root {
        true => privileges::start_executor(&launch)?,
        false => privileges::start_executor_in(&place.run, &launch)?,
    };
    if root {
        privileges::give(&data, &identity)?;
        privileges::drop_to(&identity)?;
    }
    let job = RunJob {
        data,
        socket,
        run: place.run,
        rootless: !root,
        bounds,
        images,
        dns: host.dns,
        egress,
        allow: host.allow,
        params,
        secrets: Arc::new(secrets),
        prepared,
        instance,
        json: args.json,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let status = runtime.block_on(job.drive())?;
    Ok(if status == Status::Success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where the run's executor keeps what.
struct Place {
    root: PathBuf,
    run: PathBuf,
}

fn roots_place(instance: &str) -> anyhow::Result<Place> {
    let outer = Path::new(OUTER);
    super::executor::outer_dir(outer)?;
    Ok(Place { root: outer.join(format!("run-{instance}")), run: privileges::run_dir(instance) })
}

fn own_place(data: &Path, instance: &str, identity: &Identity) -> anyhow::Result<Place> {
    Ok(Place { root: data.join("executor"), run: privileges::own_run_dir(instance, identity.uid)? })
}

/// The executor of the machine's configuration, where there is one: what runs on its server runs here.
fn host_executor() -> anyhow::Result<config::Executor> {
    let mut sources = Sources { env: super::config::environment(), ..Sources::default() };
    sources.read_file(None)?;
    Ok(config::load_executor(&sources)?.0)
}

/// What the steps may reach: no config repo says it here.
fn egress(names: &[String]) -> anyhow::Result<Vec<String>> {
    let bad = names.iter().find_map(|name| Some((name, bad_name(name)?)));
    if let Some((name, why)) = bad {
        bail!("--egress takes a DNS name such as example.com or *.example.com, not '{name}': {why}");
    }
    Ok(names.iter().map(|name| name.to_ascii_lowercase()).collect())
}

fn params(given: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    given
        .iter()
        .map(|text| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => bail!("--param takes NAME=VALUE, not '{text}'"),
        })
        .collect()
}

/// `.danube` in the repository, with a .gitignore of its own; elsewhere where the master's user could
/// not reach it.
fn data_dir(given: Option<&Path>, root: &Path, identity: &Identity) -> anyhow::Result<PathBuf> {
    let wanted = given.map_or_else(|| root.join(".danube"), Path::to_path_buf);
    let wanted = std::path::absolute(wanted)?;
    let root = rustix::process::geteuid().is_root();
    let dir = if !root || privileges::may_reach(wanted.parent().unwrap_or(Path::new("/")), identity) {
        wanted
    } else {
        elsewhere(&wanted)
    };
    refuse_brought(&dir)?;
    private_dir(&dir)?;
    if !root && fs::metadata(&dir)?.uid() != identity.uid {
        bail!(
            "{} belongs to another user, perhaps of a run with sudo: remove it, or choose another place with --data-dir",
            dir.display()
        );
    }
    let ignore = dir.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "*\n").with_context(|| format!("cannot write {}", ignore.display()))?;
    }
    Ok(dir)
}

/// Where a run as root keeps what belongs to a directory that its user does not reach.
fn elsewhere(wanted: &Path) -> PathBuf {
    let hash = crate::artifacts::Digest::of(wanted.as_os_str().as_encoded_bytes()).to_string();
    Path::new(OUTER).join(format!("data-{}", &hash[..16]))
}

/// Where runs of a repository may have kept their jobs.
pub(super) fn kept_at(root: &Path) -> Vec<PathBuf> {
    let usual = root.join(".danube");
    vec![elsewhere(&usual), usual]
}

/// A checkout may be hostile: a data directory that came with it is not used, nor a link in its place.
fn refuse_brought(dir: &Path) -> anyhow::Result<()> {
    let Ok(meta) = fs::symlink_metadata(dir) else { return Ok(()) };
    let around = dir.parent().unwrap_or(Path::new("/"));
    let tracked = std::process::Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "--"])
        .arg(dir)
        .current_dir(around)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .is_ok_and(|output| !output.stdout.is_empty());
    if !meta.is_dir() || tracked {
        bail!(
            "{} came with the repository: remove it from there, or choose another place with --data-dir",
            dir.display()
        );
    }
    Ok(())
}

struct RunJob {
    data: PathBuf,
    socket: PathBuf,
    /// The executor's runtime directory, gone with it.
    run: PathBuf,
    rootless: bool,
    bounds: Bounds,
    /// Whom to ask for names.
    dns: Vec<SocketAddr>,
    /// What the steps may reach.
    egress: Vec<String>,
    images: (crate::images::Settings, ImageBounds),
    allow: Vec<String>,
    params: BTreeMap<String, String>,
    secrets: Arc<PlainFile>,
    prepared: Prepared,
    instance: String,
    json: bool,
}

impl RunJob {
    async fn drive(mut self) -> anyhow::Result<Status> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids: Arc<dyn Ids> = Arc::new(SystemIds::new());
        let store = Store::open(&self.data, Arc::clone(&clock), Arc::clone(&ids))?;
        let keys = self.data.join("keys");
        private_dir(&keys)?;
        let vault = secrets::open(&store, &keys, Arc::clone(&ids)).await?;
        let client = Arc::new(Client::new(&self.socket));
        if self.rootless {
            self.tell_what_is_missing(client.probe().await?.not_enforced);
        }
        let builder = BuilderFacts {
            id: crate::provenance::builder_id(None, &self.instance),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_repository: String::new(),
            config_ref: String::new(),
        };
        let engine = engine(Parts {
            data: self.data.clone(),
            store: store.clone(),
            vault,
            clock,
            ids,
            executor: Arc::clone(&client) as Arc<dyn Executor>,
            bounds: self.bounds.clone(),
            builder,
            signing: None,
            public_url: None,
            dns: self.dns.clone(),
            images: self.images.1.images(RegistrySource::Fixed(self.images.0.clone()))?,
            registry: None,
        })?;
        let claimed = self.claim(&store).await?;
        let job = claimed.job.clone();
        let stop = CancellationToken::new();
        let show = (!self.json).then(|| show::Show::start(&store, &self.data, &job, &self.prepared));
        let watch = tokio::spawn(cancel_on_signal(store.clone(), job.id, stop.clone()));
        let source: Arc<dyn SecretSource> = self.secrets.clone();
        let driven = drive(engine, claimed, Arc::new(self.prepared.origin()?), source, stop).await;
        watch.abort();
        let left = matches!(driven, Ok(Driven::Left));
        if left || driven.is_err() {
            // Nobody will come back to it.
            client.teardown(job.id).await?;
        }
        match show {
            Some(show) if left || driven.is_err() => show.give_up(),
            Some(show) => show.end().await,
            None => {}
        }
        // The executor ends with its only job, whatever became of that.
        client.leave().await?;
        drop(client);
        privileges::wait_until_gone(&self.run).await;
        driven?;
        if left {
            bail!("the run was given up: its record and its logs may be incomplete");
        }
        let job = store.read(move |view| jobs::get(view, job.id)).await?;
        if self.json {
            super::say::say(&format!("{}\n", show::summary(&store, &job, &self.data).await?))?;
        }
        Ok(job.status)
    }

    /// At the head of the progress, or aside where the output is for a program.
    fn tell_what_is_missing(&mut self, lines: Vec<String>) {
        for line in lines {
            let line = format!("not enforced: {line}");
            match self.json {
                true => eprintln!("danube: {line}"),
                false => self.prepared.skipped.push(line),
            }
        }
    }

    /// The one job: the pipeline is what the danubefile's directory is called.
    async fn claim(&self, store: &Store) -> anyhow::Result<queue::Claimed> {
        // No config repo stands above a run: what the machine allows is allowed.
        let pipeline = Pipeline {
            egress_allowlist: Some(self.egress.clone()),
            caps: self.allow.clone(),
            ..pipeline(&self.prepared)
        };
        let settings = Settings {
            teams: vec![Team { name: TEAM.to_owned(), members: Vec::new(), admins: Vec::new(), global_admin: false }],
            pipelines: vec![pipeline.clone()],
            ..Settings::default()
        };
        let commit = "0".repeat(40);
        let (sha, name) = (commit.clone(), pipeline.name.clone());
        let row = store
            .write("cli.run_claim", Durability::Progress, move |tx| {
                apply::apply(tx, &settings, &sha, tx.now())?;
                pipelines::find_by_name(tx, &name)
            })
            .await?
            .context("the pipeline of this run is gone")?;
        // What an earlier run left waiting is not this run's business.
        let waiting = store.read(|view| jobs::pending(view, 1000)).await?;
        for job in waiting {
            queue::cancel(store, job.id, Principal::LocalAdmin).await?;
        }
        queue::enqueue(
            store,
            NewJob {
                pipeline_id: row.id,
                pipeline,
                config_commit: commit,
                trigger: Trigger::Manual,
                event: None,
                origin: None,
                actor: Principal::LocalAdmin,
                revision: self.prepared.revision.clone(),
                pull_request: None,
                pr_base: None,
                fork: false,
                params: self.params.clone(),
                parent: None,
                reuse: false,
                dedupe_key: None,
            },
        )
        .await?;
        let limits = queue::Limits { max_running: u32::MAX };
        queue::claim(store, "run", limits).await?.context("the job of this run could not be started")
    }
}

fn pipeline(prepared: &Prepared) -> Pipeline {
    Pipeline {
        name: prepared.name.clone(),
        team: TEAM.to_owned(),
        repository: prepared.repository.clone(),
        branch_filter: Vec::new(),
        triggers: vec![TriggerRule::Manual],
        paths: Vec::new(),
        script: prepared.script.clone(),
        max_duration_seconds: 24 * 3600,
        workspace_size_gb: 5,
        caps: Vec::new(),
        permissions: Vec::new(),
        egress_allowlist: None,
        concurrency: Concurrency::default(),
        attempts: 1,
        secrets: Vec::new(),
        params: Vec::new(),
        // Whatever branch is checked out: it is the developer's own.
        protected_branches: vec!["**".to_owned()],
    }
}

/// Ctrl-C asks the job to end, as a person would on a server; a second one does not wait for that.
async fn cancel_on_signal(store: Store, job: JobId, stop: CancellationToken) {
    let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        return;
    };
    let mut asked = async || {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
    };
    asked().await;
    eprintln!("danube: stopping; steps get 10 seconds, press Ctrl-C again to wait no longer");
    match queue::cancel(&store, job, Principal::LocalAdmin).await {
        Ok(_) => asked().await,
        Err(error) => eprintln!("danube: {:#}", anyhow::Error::new(error)),
    }
    stop.cancel();
}
