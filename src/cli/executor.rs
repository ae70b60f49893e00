//! `danube executor`: the privileged process, on its own.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use crate::executor::local::{
    InstallOptions, Layout, Policy, Pool, Protections, Rootless, StartError, enter_own_namespace, install,
};
use crate::executor::remote::{ServeOptions, serve};

/// Run the privileged part: containers for the master, asked for over a Unix socket
#[derive(Debug, Args)]
pub(super) struct ExecutorArgs {
    /// Where workspaces and container roots live
    #[arg(long, default_value = "/var/lib/danube-executor")]
    pub(super) root: PathBuf,
    /// Where sockets and runtime state live
    #[arg(long, default_value = "/run/danube/main")]
    pub(super) run_dir: PathBuf,
    /// Eight hex digits that all global names of this executor carry
    #[arg(long, default_value = "00000000")]
    pub(super) instance: String,
    /// The user of the master, the only one but root who may call
    #[arg(long)]
    pub(super) master_uid: u32,
    /// Offer the pseudo-image "host": the machine's own /usr, read-only
    #[arg(long)]
    pub(super) host_image: bool,
    /// End this many seconds after the last client went, when no step lives
    #[arg(long)]
    pub(super) linger: Option<u64>,
    /// It belongs to one run: what still runs ends with it, the linger time after the last client went
    #[arg(long)]
    pub(super) temporary: bool,
    /// Show this directory of the machine, writable, to every step of every pipeline, such as /srv/cache:/cache
    #[arg(long, value_name = "FROM:TO", value_parser = shared)]
    pub(super) bind: Vec<(PathBuf, String)>,
    /// The network from which links of jobs get their addresses: a /19 or larger that nothing else uses
    #[arg(long, default_value_t)]
    pub(super) egress_pool: Pool,
    /// A network such as 10.0.0.0/8, not the internet's, that names may lead jobs to all the same
    #[arg(long, value_name = "NETWORK")]
    pub(super) egress_private: Vec<Pool>,
    /// Let steps ask for this capability beyond the usual ones, such as SETFCAP
    #[arg(long, value_name = "CAPABILITY")]
    pub(super) allow: Vec<String>,
    /// This executor serves a test of the protections, and nobody else
    #[arg(long, hide = true)]
    pub(super) for_tests: bool,
    /// Take this protection of steps away, to see what it is good for
    #[arg(long, hide = true, requires = "for_tests", value_name = "PROTECTION")]
    pub(super) without: Vec<String>,
    /// The image of coordinators, an OCI layout, which workspace helpers take git from; else it is the machine's own
    #[arg(long, value_name = "DIR")]
    pub(super) tools: Option<PathBuf>,
    /// The shim's program
    #[arg(long)]
    pub(super) shim: Option<PathBuf>,
}

/// Serves until it is no longer needed.
pub(super) fn run(args: ExecutorArgs) -> anyhow::Result<ExitCode> {
    if args.instance.len() != 8 || !args.instance.bytes().all(|b| b.is_ascii_hexdigit()) {
        bail!("--instance takes eight hex digits, not '{}'", args.instance);
    }
    if !args.egress_pool.is_large_enough() {
        bail!("--egress-pool takes a network of at least /19, not {}", args.egress_pool);
    }
    let protections = match Protections::without(&args.without) {
        Ok(protections) => protections,
        Err(unknown) => bail!("--without: there is no protection '{unknown}'"),
    };
    // A session of its own: it outlives the master that started it. Where it leads one already
    // (a unit of systemd), there is nothing to do.
    let _own = rustix::process::setsid();
    // Roots of containers have the modes that they are given, whatever the caller's mask was.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    super::privileges::raise_descriptor_limit();
    let shim = match args.shim {
        Some(shim) => shim,
        None => super::privileges::find_shim()?,
    };
    let rootless = own_namespace(args.master_uid)?;
    // In a user namespace of its own, the one user is 0, and so is the caller who is that user.
    let master_uid = if rootless.is_some() { 0 } else { args.master_uid };
    let layout =
        Layout { root: args.root, run: args.run_dir, uids: "/run/danube/uids".into(), instance: args.instance };
    let socket = layout.socket();
    let options = InstallOptions {
        layout,
        policy: Policy {
            host_image: args.host_image,
            binds: args.bind,
            allow: args.allow,
            egress_pool: args.egress_pool,
            egress_private: args.egress_private,
            ..Policy::default()
        },
        master_uid,
        shim,
        tools: args.tools,
        rootless,
        protections,
    };
    let (local, _held) = match install(options) {
        Ok(installed) => installed,
        // The one that runs does the work.
        Err(StartError::Running(root)) => {
            tracing::info!(root = %root.display(), "an executor already serves here");
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => return Err(error.into()),
    };
    let local = Arc::new(local);
    local.watch_space();
    let listener = listen(&socket)?;
    tracing::info!(socket = %socket.display(), "executor serves");
    let linger = args.linger.map(Duration::from_secs);
    let options = ServeOptions { master_uid, linger, end_jobs: args.temporary };
    serve(&listener, Arc::clone(&local), &options).context("the executor's socket failed")?;
    if local.list().is_ok_and(|jobs| jobs.is_empty()) {
        local.leave();
    }
    Ok(ExitCode::SUCCESS)
}

/// `FROM:TO`, both absolute.
fn shared(text: &str) -> Result<(PathBuf, String), String> {
    let (from, to) = text.split_once(':').ok_or("write FROM:TO, such as /srv/cache:/cache")?;
    if !from.starts_with('/') || !to.starts_with('/') || to.split('/').any(|part| part == "..") {
        return Err("both paths must be absolute, without '..'".to_owned());
    }
    Ok((from.into(), to.to_owned()))
}

/// Without root, the executor is an ordinary user's and serves that user alone.
fn own_namespace(master_uid: u32) -> anyhow::Result<Option<Rootless>> {
    let own = rustix::process::geteuid();
    if own.is_root() {
        return Ok(None);
    }
    if own.as_raw() != master_uid {
        bail!(
            "without root an executor serves the user who started it alone: --master-uid must be {}, not {master_uid}",
            own.as_raw()
        );
    }
    Ok(Some(enter_own_namespace()?))
}

/// The socket of one that died is replaced; `install` made sure that none lives.
fn listen(socket: &std::path::Path) -> anyhow::Result<UnixListener> {
    let fresh = socket.with_extension("new");
    for path in [&fresh, &socket.to_path_buf()] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let listener = UnixListener::bind(&fresh).with_context(|| format!("cannot listen at {}", socket.display()))?;
    // Anybody may connect, only root and the master get an answer: the peer's uid decides.
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o666))?;
    fs::rename(&fresh, socket)?;
    Ok(listener)
}

/// The directory above executors' own: root's, and searchable by the uids of jobs.
pub(super) fn outer_dir(path: &std::path::Path) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o711))?;
    Ok(())
}
