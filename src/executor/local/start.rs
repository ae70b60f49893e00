//! The executor's start: its directories, its copies of shim and SDK, what the machine offers.
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::FlockOperation;

use super::cgroup::Cgroups;
use super::job::{make_dir, remove_tree};
use super::plan::Bind;
use super::roots::Roots;
use super::{Layout, Local, Policy, Protections, Rootless, seccomp, tools};

/// What an executor is started with.
#[derive(Debug, Clone)]
pub struct InstallOptions {
    /// Its directories.
    pub layout: Layout,
    /// Its bounds.
    pub policy: Policy,
    /// The uid of the master it serves.
    pub master_uid: u32,
    /// The shim's program.
    pub shim: PathBuf,
    /// An OCI layout that helpers take their tools from; none: the machine's own.
    pub tools: Option<PathBuf>,
    /// Set where the executor is an ordinary user's.
    pub rootless: Option<Rootless>,
    /// What its containers are protected by: everything, but in a test of the protections.
    pub protections: Protections,
}

/// Why an executor can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The machine refused something.
    #[error("the executor could not {what} {path}: {source}")]
    Io {
        /// The verb.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The runtime is missing.
    #[error("{0} is not installed; install the package crun")]
    NoRuntime(&'static str),
    /// An ordinary user's executor can't become root in a namespace of its own.
    #[error("without root danube needs a user namespace, and this machine gives none ({source}): {advice}")]
    UserNamespace {
        /// Why.
        source: io::Error,
        /// What opens them.
        advice: &'static str,
    },
    /// Another executor has these directories.
    #[error("another executor already serves {0}")]
    Running(PathBuf),
    /// The seccomp profile does not compile: a fault of this build.
    #[error("the seccomp profile can't be used: {0}")]
    Seccomp(String),
}

/// The SDK as it lies in the binary.
#[derive(rust_embed::RustEmbed)]
#[folder = "sdk/src"]
#[include = "danube/*.py"]
#[include = "danube/py.typed"]
struct Sdk;

/// Keeps a second executor away from the same directories, for as long as it lives.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "held, not read")] File);

/// Makes or takes over an executor's directories.
pub fn install(options: InstallOptions) -> Result<(Local, Held), StartError> {
    let InstallOptions { layout, policy, master_uid, shim, tools, rootless, protections } = options;
    if !Path::new(super::crun::CRUN).exists() {
        return Err(StartError::NoRuntime(super::crun::CRUN));
    }
    for (path, mode) in [
        (&layout.root, 0o711),
        (&layout.jobs(), 0o711),
        (&layout.caches(), 0o700),
        (&layout.root.join("bin"), 0o755),
        (&layout.run, 0o711),
    ] {
        make_all(path, mode).map_err(|e| failed("make", path, e))?;
    }
    let held = hold(&layout.root)?;
    let copy = layout.shim();
    copy_program(&shim, &copy).map_err(|e| failed("copy the shim", &shim, e))?;
    lend_shell(&layout.shell());
    let sdk = layout.sdk();
    write_sdk(&sdk).map_err(|e| failed("write the SDK to", &sdk, e))?;
    for path in [layout.crun(), layout.run.join("jobs")] {
        make_dir(&path, 0o711).map_err(|e| failed("make", &path, e))?;
    }
    let tools = tools
        .map(|image| {
            tools::install(&image, &layout.root).map_err(|e| failed("use the image of coordinators", &image, e))
        })
        .transpose()?;
    let seccomp = seccomp::program(protections.calls()).map_err(StartError::Seccomp)?;
    for name in protections.missing() {
        tracing::error!(protection = name, "steps run WITHOUT this protection: this executor is for tests alone");
    }
    let cgroups = if rootless.is_some() { Cgroups::probe() } else { Cgroups::take() };
    let rootless = rootless.is_some();
    let nets = super::net::Nets::probe(rootless, policy.egress_pool);
    let roots =
        Roots::open(&layout, rootless).map_err(|e| failed("make the roots of containers in", &layout.images(), e))?;
    let local = Local {
        layout,
        policy,
        cgroups,
        seccomp,
        roots,
        protections,
        master_uid,
        rootless,
        nets,
        tools,
        locks: Mutex::default(),
        cache_locks: Mutex::default(),
        guards: Default::default(),
        clearing: Mutex::default(),
    };
    for dir in [local.whole_layers(), local.half_layers()] {
        // Nobody else on this machine has to see what private images hold.
        make_dir(&dir, 0o700).map_err(|e| failed("make", &dir, e))?;
    }
    local.reclaim();
    local.remove_leftovers();
    Ok((local, held))
}

impl Local {
    /// Removes what an executor leaves behind on the machine when it ends for good and no job is left: its directories,
    /// but for layers of images and content of caches, and its cgroup. Only one that was started by hand ever leaves.
    pub fn leave(&self) {
        self.cgroups.remove(&Cgroups::instance(&self.layout.instance));
        for path in self.own_files() {
            if let Err(error) = remove_tree(&path) {
                tracing::warn!(%error, "the executor's directory could not be removed");
            }
        }
        // Where it was the last one, the directory above holds nothing either.
        let _shared = self.layout.root.parent().map(fs::remove_dir);
        // Last: who waits for the end looks at this.
        if let Err(error) = remove_tree(&self.layout.run) {
            tracing::warn!(%error, "the executor's runtime directory could not be removed");
        }
    }
}

impl Local {
    /// The shell that an image without one gets.
    pub(super) fn lent_shell(&self) -> Vec<Bind> {
        let shell = self.layout.shell();
        if shell.exists() { vec![Bind::readonly(&shell, "/danube/sh")] } else { Vec::new() }
    }

    /// All that it made. Layers of images and content of caches stay for the next one: they were dear to get.
    fn own_files(&self) -> Vec<PathBuf> {
        let layers = self.layers().is_ok_and(|layers| !layers.is_empty()).then(|| self.layout.images());
        let caches = self.cache_list().is_ok_and(|blobs| !blobs.is_empty()).then(|| self.layout.caches());
        let kept: Vec<PathBuf> = layers.into_iter().chain(caches).collect();
        if kept.is_empty() {
            return vec![self.layout.root.clone()];
        }
        let entries = fs::read_dir(&self.layout.root).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter(|path| !kept.contains(path)).collect()
    }
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> StartError {
    StartError::Io { what, path: path.to_owned(), source }
}

/// Like `mkdir -p`; only the last part gets the mode.
fn make_all(path: &Path, mode: u32) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    make_dir(path, mode)
}

fn hold(root: &Path) -> Result<Held, StartError> {
    let path = root.join("executor.lock");
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(|e| failed("open", &path, e))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Held(file)),
        Err(_) => Err(StartError::Running(root.to_owned())),
    }
}

/// A copy of our own: containers see it, whatever an upgrade does to the package's file meanwhile.
fn copy_program(from: &Path, to: &Path) -> io::Result<()> {
    let bytes = fs::read(from)?;
    if fs::read(to).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    crate::platform::atomic::write("executor.shim_copy", to, &bytes, 0o755)?;
    fs::set_permissions(to, Permissions::from_mode(0o755))
}

/// Where packages put the shell that is lent to images without one: a static busybox.
const SHELLS: [&str; 2] = ["/usr/lib/danube/busybox", "/bin/busybox"];

/// A copy of a static shell, where the machine has one; images without a shell can't run steps otherwise.
fn lend_shell(to: &Path) {
    let Some(from) = SHELLS.iter().map(Path::new).find(|path| is_static(path)) else { return };
    if let Err(error) = copy_program(from, to) {
        tracing::warn!(%error, from = %from.display(), "no shell can be lent to images without one");
    }
}

/// Whether a program needs nothing beside itself: it names no interpreter.
fn is_static(path: &Path) -> bool {
    use std::os::unix::fs::FileExt as _;
    let Ok(file) = File::open(path) else { return false };
    let mut header = [0; 4096];
    let Ok(read) = file.read_at(&mut header, 0) else { return false };
    let header = &header[..read];
    let short = |at: usize| header.get(at..at + 2).map(|bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])));
    let word = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
    if header.get(..5) != Some(b"\x7fELF\x02") {
        return false;
    }
    let (Some(table), Some(each), Some(count)) = (word(0x20), short(0x36), short(0x38)) else { return false };
    const INTERPRETER: u32 = 3;
    (0..count).all(|n| word(table as usize + n * each).is_some_and(|kind| kind != INTERPRETER))
}

/// Writes the SDK of this binary below `dir`, which goes onto the path of an interpreter.
pub fn write_sdk(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir.join("danube"))?;
    for path in [dir.to_owned(), dir.join("danube")] {
        fs::set_permissions(path, Permissions::from_mode(0o755))?;
    }
    for name in Sdk::iter() {
        let file = Sdk::get(&name).ok_or_else(|| io::Error::other("an embedded file is gone"))?;
        let path = dir.join(name.as_ref());
        if fs::read(&path).is_ok_and(|old| old == file.data.as_ref()) {
            continue;
        }
        crate::platform::atomic::write("executor.sdk", &path, &file.data, 0o644)?;
        fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    }
    Ok(())
}
