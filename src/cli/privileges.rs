//! Started by hand as root: the executor first, in a session of its own, then away with the rights.
//! Started by an ordinary user: the executor as that user, in places of that user's own.
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use rustix::fs::FlockOperation;
use rustix::process::{Gid, Uid};

use crate::executor::remote::{Standing, leave_unless};
use crate::platform::fault;

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

/// The ordinary user who started this: nobody else can be had.
pub(super) fn own_identity(user: Option<&str>) -> anyhow::Result<Identity> {
    if let Some(user) = user {
        bail!("only root can run as '{user}': leave --user out, or use sudo");
    }
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    Ok(Identity { uid, gid, _lease: None })
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
    let owner = fs::metadata(place).map(|meta| meta.uid()).ok().filter(|uid| FREE_UIDS.contains(uid));
    let digest = crate::artifacts::Digest::of(place.as_os_str().as_encoded_bytes()).to_string();
    let count = FREE_UIDS.end() - FREE_UIDS.start() + 1;
    let start = FREE_UIDS.start() + u32::from_str_radix(&digest[..6], 16).unwrap_or(0) % count;
    owner.into_iter().chain(start..=*FREE_UIDS.end()).chain(*FREE_UIDS.start()..start)
}

/// The eight hex digits of a data directory, made once.
pub(super) fn instance(data: &Path, ids: &dyn crate::platform::Ids) -> anyhow::Result<String> {
    let path = data.join("instance");
    if fs::symlink_metadata(&path).is_ok() {
        let mut text = String::new();
        open_own(&path)
            .and_then(|file| file.take(64).read_to_string(&mut text))
            .with_context(|| format!("cannot read {}", path.display()))?;
        let text = text.trim();
        if text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(text.to_owned());
        }
        bail!("{} is damaged: it should hold eight hex digits", path.display());
    }
    let mut bytes = [0; 4];
    ids.fill(&mut bytes);
    let text = hex::encode(bytes);
    crate::platform::atomic::write("cli.instance", &path, text.as_bytes(), 0o644)
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
    /// Capabilities that steps may ask for.
    pub(super) allow: &'a [String],
    /// The image that its helpers take git from.
    pub(super) tools: Option<&'a Path>,
    /// Its directory on disk goes with it.
    pub(super) temporary: bool,
    /// Where links of jobs get their addresses.
    pub(super) egress_pool: &'a str,
    /// Networks that names may lead jobs to although they are not the internet's.
    pub(super) egress_private: &'a [String],
}

/// The runtime directory of an instance of root's.
pub(super) fn run_dir(instance: &str) -> PathBuf {
    Path::new(RUN).join(instance)
}

/// The longest runtime directory under which the path of a job's socket still fits.
const LONGEST_RUNTIME_DIR: usize = 32;

/// The runtime directory of an ordinary user's instance; what lies above it is that user's alone.
pub(super) fn own_run_dir(instance: &str, uid: u32) -> anyhow::Result<PathBuf> {
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| {
        let fits = dir.is_absolute() && dir.as_os_str().len() <= LONGEST_RUNTIME_DIR;
        fits && fs::metadata(dir).is_ok_and(|meta| meta.is_dir() && meta.uid() == uid)
    });
    let dir = session.map_or_else(|| PathBuf::from(format!("/tmp/danube-{uid}")), |dir| dir.join("danube"));
    own_dir(&dir, uid)?;
    Ok(dir.join(instance))
}

/// Makes a directory that nobody else can enter; in /tmp another user may have been there first.
fn own_dir(dir: &Path, uid: u32) -> anyhow::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot make {}", dir.display()));
        }
        _ => {}
    }
    let meta = fs::symlink_metadata(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    if !meta.is_dir() || meta.uid() != uid {
        bail!(
            "{} is not a directory of yours (its owner is uid {}): remove it, or set XDG_RUNTIME_DIR to a directory that is yours",
            dir.display(),
            meta.uid()
        );
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("cannot close {} to others", dir.display()))
}

/// Starts the executor unless it runs; gives its socket.
pub(super) fn start_executor(launch: &Launch<'_>) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(RUN).with_context(|| format!("cannot make {RUN}"))?;
    fs::set_permissions(RUN, fs::Permissions::from_mode(0o711))?;
    start_executor_in(&run_dir(launch.instance), launch)
}

/// The same with its runtime directory elsewhere.
pub(super) fn start_executor_in(run: &Path, launch: &Launch<'_>) -> anyhow::Result<PathBuf> {
    let socket = run.join("executor.sock");
    if UnixStream::connect(&socket).is_ok() && !has_made_room(&socket, run, launch) {
        return Ok(socket);
    }
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
        .arg(run)
        .arg("--shim")
        .arg(find_shim()?)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    if let Ok(levels) = std::env::var("DANUBE_LOG") {
        command.env("DANUBE_LOG", levels);
    }
    for name in [fault::FAULTS, fault::HITS] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    if let Some(tools) = launch.tools {
        command.arg("--tools").arg(tools);
    }
    if launch.host_image {
        command.arg("--host-image");
    }
    command.args(["--egress-pool", launch.egress_pool]);
    for network in launch.egress_private {
        command.args(["--egress-private", network]);
    }
    for name in launch.allow {
        command.arg("--allow").arg(name);
    }
    if launch.temporary {
        command.arg("--temporary");
    }
    let mut child = command.spawn().context("cannot start danube executor")?;
    wait_for_socket(&socket, &mut child, &log)?;
    Ok(socket)
}

/// Whether the executor that runs was started with other settings and has ended to make room.
fn has_made_room(socket: &Path, run: &Path, launch: &Launch<'_>) -> bool {
    match leave_unless(socket, |probe| probe.host_image == launch.host_image && probe.allow == launch.allow) {
        Ok(Standing::Fits) => return false,
        Ok(Standing::Leaves) => {}
        Ok(Standing::Busy) => {
            tracing::warn!(
                "jobs run under the executor's old settings; the new ones hold after a restart without jobs"
            );
            return false;
        }
        Err(error) => {
            tracing::warn!(%error, "the executor does not say with which settings it was started");
            return false;
        }
    }
    for _ in 0..3000 {
        // It lets its lock go last, or removes the directory with it.
        if UnixStream::connect(socket).is_err() && (!run.exists() || is_free(&launch.root.join("executor.lock"))) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    tracing::warn!("the executor was asked to make room for one with other settings and did not");
    false
}

fn is_free(lock: &Path) -> bool {
    let taken = |file: File| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    File::open(lock).is_ok_and(taken)
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
pub(super) async fn wait_until_gone(run: &Path) {
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

/// Gives a directory of ours to the master's user, with all that is in it.
///
/// The last master owned it, so what lies there may be meant to mislead: every part is opened beneath the one
/// before it, no link is followed, and a file with a second name elsewhere is left alone.
pub(super) fn give(path: &Path, to: &Identity) -> anyhow::Result<()> {
    let failed = |error: rustix::io::Errno| anyhow!("cannot give {} away: {error}", path.display());
    let dir = rustix::fs::open(path, beneath(), rustix::fs::Mode::empty()).map_err(failed)?;
    give_open(&dir, to).map_err(failed)
}

fn beneath() -> rustix::fs::OFlags {
    use rustix::fs::OFlags;
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn give_open(dir: &std::os::fd::OwnedFd, to: &Identity) -> rustix::io::Result<()> {
    use rustix::fs::{AtFlags, FileType, Mode, chownat, fchown, openat, statat};
    let (uid, gid) = (Some(Uid::from_raw(to.uid)), Some(Gid::from_raw(to.gid)));
    fchown(dir, uid, gid)?;
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(rustix::io::Errno::NOENT) => continue,
            Err(error) => return Err(error),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => give_open(&openat(dir, name, beneath(), Mode::empty())?, to)?,
            _ if stat.st_uid != to.uid && stat.st_nlink == 1 => {
                chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// A file of ours in a directory that is not only ours: made where it is missing, never through a link.
pub(super) fn open_own(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    File::options().create(true).truncate(false).read(true).write(true).custom_flags(nofollow).open(path)
}

/// As many open files as the machine allows: every step and every follower needs some.
pub(super) fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_directory_is_closed_to_others_and_never_taken_from_them() {
        let dir = tempfile::tempdir().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let mine = dir.path().join("mine");
        fs::create_dir(&mine).unwrap();
        fs::set_permissions(&mine, fs::Permissions::from_mode(0o777)).unwrap();
        own_dir(&mine, uid).unwrap();
        assert_eq!(fs::metadata(&mine).unwrap().mode() & 0o777, 0o700);
        let error = own_dir(&mine, uid + 1).unwrap_err();
        assert!(error.to_string().contains("XDG_RUNTIME_DIR"), "{error}");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&mine, &link).unwrap();
        assert!(own_dir(&link, uid).is_err());
    }
}
