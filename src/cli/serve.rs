//! `danube serve`: the control plane.
mod deploy_key;
mod lock;
mod master;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;

use super::engine::private_dir;
use super::privileges::{self, Identity, Launch};
use crate::config::{self, Config, ExecutorKind, Sources};
use crate::platform::SystemIds;
pub(super) use master::interrupted;

/// Wrong configuration (sysexits `EX_CONFIG`).
const WRONG: u8 = 78;

/// Run the server: API, console, scheduler, config sync
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The host's configuration [default: /etc/danube/danube.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where everything is kept [default: /var/lib/danube]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the console and the API listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// The user to run as, where it is started as root [default: danube, the sudo user, or a free uid]
    #[arg(long)]
    user: Option<String>,
}

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let config = match load(args) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("danube: {error:#}");
            return Ok(ExitCode::from(WRONG));
        }
    };
    super::logging::start(&config.log);
    if config.executor.kind == ExecutorKind::Kubernetes {
        bail!("executor.kind = \"kubernetes\" comes with a later release; this one runs jobs on this machine");
    }
    if config.server.tls.is_some() {
        bail!(
            "server.tls_cert: this release does not speak TLS itself; put a proxy in front and name it in server.trusted_proxies"
        );
    }
    let data = config.server.data_dir.clone();
    let root = rustix::process::geteuid().is_root();
    let identity = root.then(|| privileges::identity(args.user.as_deref(), &data)).transpose()?;
    make_data_dir(&data, args.data_dir.is_some(), identity.as_ref())?;
    let held = lock::hold(&data)?;
    // Before anything is started: a taken port is told at once.
    let listener = listen(config.server.bind_address)?;
    let instance = privileges::instance(&data, &SystemIds::new())?;
    let socket = match &identity {
        Some(identity) => start_executor(args, &config, &instance, identity)?,
        None => running_executor(&instance, &data)?,
    };
    privileges::raise_descriptor_limit();
    if let Some(identity) = &identity {
        privileges::give(&data, identity)?;
        privileges::drop_to(identity)?;
    }
    // With the rights of the master alone: it owned the directory before, and may have left anything in it.
    for name in ["keys", "logs", "artifacts", "repos", "scratch"] {
        private_dir(&data.join(name))?;
    }
    deploy_key::ensure(&data.join("keys"), &config.config_repo.url)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(WAITING_FOR_DISK).build()?;
    let result = runtime.block_on(master::run(config, listener, &data, &socket, &instance));
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    drop(held);
    result.map(|()| ExitCode::SUCCESS)
}

/// Threads of calls that wait for the disk. What does not fit waits its turn: each call is short, and a pool that may
/// grow with every burst never shrinks again under load, for its threads take turns too.
const WAITING_FOR_DISK: usize = 48;

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    bound.with_context(|| format!("cannot listen on {address}: choose another with --listen"))
}

fn load(args: &ServeArgs) -> anyhow::Result<Config> {
    let mut sources = Sources { env: super::config::environment(), ..Sources::default() };
    if let Some(dir) = &args.data_dir {
        let dir = std::path::absolute(dir)?;
        sources.flags.push(("server.data_dir", dir.display().to_string()));
    }
    if let Some(address) = args.listen {
        sources.flags.push(("server.bind_address", address.to_string()));
    }
    sources.read_file(args.config.as_deref())?;
    Ok(config::load(&sources)?)
}

/// Made by hand, the directory is searchable and what is in it private; in a package it is 0700.
fn make_data_dir(data: &Path, by_hand: bool, identity: Option<&Identity>) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(data)
        .with_context(|| format!("cannot make the data directory {}; it must be writable", data.display()))?;
    let mode = if by_hand { 0o711 } else { 0o700 };
    fs::set_permissions(data, fs::Permissions::from_mode(mode)).with_context(|| {
        format!("cannot use the data directory {}: its owner must be the user that runs the server", data.display())
    })?;
    let probe = data.join(".writable");
    // What was left under that name is removed, not written through.
    let _old = fs::remove_file(&probe);
    fs::File::create_new(&probe).and_then(|_| fs::remove_file(&probe)).map_err(|error| {
        anyhow!("the data directory {} is not writable: {error}; check its owner and the disk", data.display())
    })?;
    if let Some(identity) = identity
        && !privileges::may_reach(data.parent().unwrap_or(Path::new("/")), identity)
    {
        bail!(
            "the data directory {} can't be reached by uid {}, as which the server runs: choose a place whose parents are searchable, or --user",
            data.display(),
            identity.uid
        );
    }
    Ok(())
}

fn start_executor(args: &ServeArgs, config: &Config, instance: &str, identity: &Identity) -> anyhow::Result<PathBuf> {
    // Never below the data directory: that is the master's, who could put another tree in its place.
    let outer = Path::new("/var/lib/danube-executor");
    super::executor::outer_dir(outer)?;
    let root = outer.join(if args.data_dir.is_some() { instance } else { "main" });
    let host_image = config.executor.host_image;
    privileges::start_executor(&Launch {
        tools: config.executor.coordinator_layout(),
        root: &root,
        instance,
        master_uid: identity.uid,
        host_image,
        allow: &config.executor.allow,
        temporary: false,
        egress_pool: &config.executor.egress_pool,
        egress_private: &config.executor.egress_private,
    })
}

/// Not started as root: the executor is a unit of its own.
fn running_executor(instance: &str, data: &Path) -> anyhow::Result<PathBuf> {
    let own = privileges::run_dir(instance).join("executor.sock");
    // The unit's executor serves the unit's data alone: another master would take its jobs for leftovers.
    let unit = (data == Path::new("/var/lib/danube")).then(|| PathBuf::from("/run/danube/main/executor.sock"));
    std::iter::once(own).chain(unit).find(|socket| std::os::unix::net::UnixStream::connect(socket).is_ok()).ok_or_else(
        || {
            anyhow!(
                "no executor runs: start `danube executor` as root (danube-executor.service), or `danube serve` as root"
            )
        },
    )
}
