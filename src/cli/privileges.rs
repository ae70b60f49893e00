//! Started by hand as root: the executor first, in a session of its own, then away with the rights.
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, lchown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use rustix::fs::FlockOperation;
use rustix::process::{Gid, Uid};

/// Uids that no account has, for masters on machines without a service user (systemd's dynamic range).
const FREE_UIDS: std::ops::RangeInclusive<u32> = 61_184..=65_519;

/// Where the machine's instances keep sockets, locks and leases.
const RUN: &str = "/run/danube";

/// Who the master becomes.
#[derive(Debug)]
pub(super) struct Identity {
    /// Its uid.
    pub(super) uid: u32,
    /// Its gid.
    pub(super) gid: u32,
    /// Keeps a leased uid for the life of the process.
    _lease: Option<File>,
}

/// Chooses: `--user`, the service user, the sudo user, a free uid for what is kept at `place`.
pub(super) fn identity(user: Option<&str>, place: &Path) -> anyhow::Result<Identity> {
    if let Some(name) = user {
        let (uid, gid) = account(name)?.ok_or_else(|| anyhow!("there is no user '{name}' on this machine"))?;
        return Ok(Identity { uid, gid, _lease: None });
    }
    if let Some((uid, gid)) = account("danube")? {
        return Ok(Identity { uid, gid, _lease: None });
    }
    let number = |key: &str| std::env::var(key).ok().and_then(|v| v.parse::<u32>().ok()).filter(|id| *id != 0);
    if let (Some(uid), Some(gid)) = (number("SUDO_UID"), number("SUDO_GID")) {
        return Ok(Identity { uid, gid, _lease: None });
    }
    free_uid(place)
}

fn account(name: &str) -> anyhow::Result<Option<(u32, u32)>> {
    let text = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let line = text.lines().find(|l| l.split(':').next() == Some(name));
    let ids = line.and_then(|line| {
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    Ok(ids.filter(|(uid, _)| *uid != 0))
}

/// The same for the same place wherever it can be: an executor that outlived its master answers to that uid alone.
fn free_uid(place: &Path) -> anyhow::Result<Identity> {
    let dir = Path::new(RUN).join("masters");
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    fs::set_permissions(RUN, fs::Permissions::from_mode(0o711))?;
    for uid in uids_for(place) {
        let file = File::options().create(true).truncate(false).write(true).open(dir.join(uid.to_string()))?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(Identity { uid, gid: uid, _lease: Some(file) });
        }
    }
    bail!("no free uid is left between {} and {}; give one with --user", FREE_UIDS.start(), FREE_UIDS.end())
}

/// The owner of the place first; then all, from a start that other places hardly share.
fn uids_for(place: &Path) -> impl Iterator<Item = u32> {
    use std::os::unix::fs::MetadataExt;
    let owner = fs::metadata(place).map(|meta| meta.uid()).ok().filter(|uid| FREE_UIDS.contains(uid));
    let digest = crate::artifacts::Digest::of(place.as_os_str().as_encoded_bytes()).to_string();
    let count = FREE_UIDS.end() - FREE_UIDS.start() + 1;
    let start = FREE_UIDS.start() + u32::from_str_radix(&digest[..6], 16).unwrap_or(0) % count;
    owner.into_iter().chain(start..=*FREE_UIDS.end()).chain(*FREE_UIDS.start()..start)
}

/// The eight hex digits of a data directory, made once.
pub(super) fn instance(data: &Path, ids: &dyn crate::platform::Ids) -> anyhow::Result<String> {
    let path = data.join("instance");
    if let Ok(text) = fs::read_to_string(&path) {
        let text = text.trim();
        if text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(text.to_owned());
        }
        bail!("{} is damaged: it should hold eight hex digits", path.display());
    }
    let mut bytes = [0; 4];
    ids.fill(&mut bytes);
    let text = hex::encode(bytes);
    crate::platform::atomic::write(&path, text.as_bytes(), 0o644)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(text)
}

/// How an executor is started by hand.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    /// Its directory on disk.
    pub(super) root: &'a Path,
    /// Its instance.
    pub(super) instance: &'a str,
    /// The master it serves.
    pub(super) master_uid: u32,
    /// The pseudo-image `host` is offered.
    pub(super) host_image: bool,
    /// Its directory on disk goes with it.
    pub(super) temporary: bool,
}

/// The runtime directory of an instance.
pub(super) fn run_dir(instance: &str) -> PathBuf {
    Path::new(RUN).join(instance)
}

/// Starts the executor unless it runs; gives its socket.
pub(super) fn start_executor(launch: &Launch<'_>) -> anyhow::Result<PathBuf> {
    let run = run_dir(launch.instance);
    let socket = run.join("executor.sock");
    if UnixStream::connect(&socket).is_ok() {
        return Ok(socket);
    }
    fs::create_dir_all(RUN).with_context(|| format!("cannot make {RUN}"))?;
    fs::set_permissions(RUN, fs::Permissions::from_mode(0o711))?;
    fs::create_dir_all(launch.root).with_context(|| format!("cannot make {}", launch.root.display()))?;
    let log = launch.root.join("executor.log");
    let output = File::options().create(true).append(true).open(&log)?;
    let mut command = Command::new(std::env::current_exe().context("cannot find my own program")?);
    command
        .arg("executor")
        .args(["--instance", launch.instance, "--linger", "60"])
        .args(["--master-uid", &launch.master_uid.to_string()])
        .arg("--root")
        .arg(launch.root)
        .arg("--run-dir")
        .arg(&run)
        .arg("--shim")
        .arg(find_shim()?)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    if let Ok(levels) = std::env::var("DANUBE_LOG") {
        command.env("DANUBE_LOG", levels);
    }
    if launch.host_image {
        command.arg("--host-image");
    }
    if launch.temporary {
        command.arg("--temporary");
    }
    let mut child = command.spawn().context("cannot start danube executor")?;
    wait_for_socket(&socket, &mut child, &log)?;
    Ok(socket)
}

fn wait_for_socket(socket: &Path, child: &mut Child, log: &Path) -> anyhow::Result<()> {
    for _ in 0..3000 {
        if UnixStream::connect(socket).is_ok() {
            return Ok(());
        }
        if let Some(status) = child.try_wait()?
            && !status.success()
        {
            let said = fs::read_to_string(log).unwrap_or_default();
            bail!("the executor ended with {status}: {}", said.lines().last().unwrap_or("it said nothing"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!("the executor does not answer at {}; see {}", socket.display(), log.display())
}

/// Waits until an executor that was told to leave has removed what was its own, but not for ever.
pub(super) async fn wait_until_gone(instance: &str) {
    let run = run_dir(instance);
    for _ in 0..500 {
        if !run.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tracing::warn!(dir = %run.display(), "the executor takes long to end");
}

/// The shim beside this program, in the package's place, or where DANUBE_SHIM says.
pub(super) fn find_shim() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("DANUBE_SHIM") {
        return Ok(path.into());
    }
    let exe = std::env::current_exe().context("cannot find my own program")?;
    let beside = exe.with_file_name("danube-shim");
    // A test's program lies in target/debug/deps, the shim one above.
    let above = exe.parent().and_then(Path::parent).map(|dir| dir.join("danube-shim"));
    [Some(beside), above, Some("/usr/lib/danube/danube-shim".into())]
        .into_iter()
        .flatten()
        .find(|path| path.is_file())
        .ok_or_else(|| anyhow!("danube-shim was not found beside {} nor in /usr/lib/danube", exe.display()))
}

/// Whether the master's user may enter a directory, by the mode bits of all that leads there.
pub(super) fn may_reach(dir: &Path, identity: &Identity) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(dir) = fs::canonicalize(dir) else { return false };
    dir.ancestors().all(|part| {
        fs::metadata(part).is_ok_and(|meta| {
            let shift = match () {
                () if meta.uid() == identity.uid => 6,
                () if meta.gid() == identity.gid => 3,
                () => 0,
            };
            meta.mode() >> shift & 1 == 1
        })
    })
}

/// Gives a directory of ours to the master's user, with all that is in it but the names in `kept`;
/// links are not followed.
pub(super) fn give(path: &Path, to: &Identity, kept: &[&str]) -> anyhow::Result<()> {
    lchown(path, Some(to.uid), Some(to.gid)).with_context(|| format!("cannot give {} away", path.display()))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if !kept.iter().any(|name| entry.file_name() == *name) {
                give(&entry.path(), to, &[])?;
            }
        }
    }
    Ok(())
}

/// Becomes the master's user for good. Must come before any thread is started: each thread has
/// rights of its own, and later ones inherit these.
pub(super) fn drop_to(identity: &Identity) -> anyhow::Result<()> {
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    let dropped = rustix::thread::set_thread_groups(&[])
        .and_then(|()| rustix::thread::set_thread_res_gid(gid, gid, gid))
        .and_then(|()| rustix::thread::set_thread_res_uid(uid, uid, uid))
        .and_then(|()| rustix::thread::set_no_new_privs(true));
    dropped.map_err(|e| anyhow!("cannot become uid {}: {e}", identity.uid))?;
    if rustix::process::geteuid().is_root()
        || rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).is_ok()
    {
        bail!("the rights of root could not be given up");
    }
    Ok(())
}
