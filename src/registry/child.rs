//! The registry program beside the master: started, asked whether it answers, started again when it died.
//!
//! It listens on a Unix socket in a directory of the master's own: no port, nobody else's way in. The kernel ends it
//! with the master; one that was left nevertheless is ended at the next start.
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{RegistryError, upstream};
use crate::platform::atomic;

/// Names under which distributions have it.
const NAMES: [&str; 2] = ["docker-registry", "registry"];
const PLACES: [&str; 4] = ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/usr/local/sbin"];
/// Sends a signal to its child when the parent dies; part of util-linux.
pub(super) const SETPRIV: &str = "/usr/bin/setpriv";
/// How long the program gets to answer, and to end.
const PATIENCE: Duration = Duration::from_secs(20);
const FAREWELL: Duration = Duration::from_secs(5);
/// Between two looks at a program that does not answer yet.
const LOOK: Duration = Duration::from_millis(20);
/// The pause after the first death in a row, and the longest.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);
/// What lived so long did not die of its start.
const LIVED: Duration = Duration::from_secs(60);
/// Bytes of one line of its log.
const LINE: u64 = 4096;

/// Whether the registry can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// There is none: why, and what to do.
    Absent(String),
    /// It is being started.
    Starting,
    /// It answers.
    Up,
    /// It died or does not answer: the last that was seen.
    Down(String),
}

/// The program, and where it keeps what.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) dir: PathBuf,
}

/// Looks for the program; an absolute path is taken as it is.
pub(super) fn find(asked: &str) -> Result<PathBuf, String> {
    match asked {
        "off" => {
            Err("the registry is switched off on this server (`program = \"off\"` in [registry] of danube.toml)"
                .to_owned())
        }
        "auto" => {
            let all = NAMES.iter().flat_map(|name| PLACES.iter().map(move |place| Path::new(place).join(name)));
            all.into_iter().find(|path| path.exists()).ok_or_else(|| {
                "this server has no registry: who runs it installs the package docker-registry, or names the program in \
                 [registry] of danube.toml, and restarts it"
                    .to_owned()
            })
        }
        path if Path::new(path).exists() => Ok(PathBuf::from(path)),
        path => Err(format!("the registry program {path} of danube.toml does not exist")),
    }
}

impl Program {
    pub(super) fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("config.yml")
    }

    pub(super) fn storage(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn pid_file(&self) -> PathBuf {
        self.dir.join("pid")
    }

    /// Writes its configuration. `secret` signs the state of uploads, which go on over a restart.
    pub(super) fn install(&self, secret: &str) -> Result<(), RegistryError> {
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |source| RegistryError::Io { what, path, source }
        };
        for dir in [&self.dir, &self.storage()] {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("make", dir))?;
        }
        // JSON is YAML, and quotes what a path may hold. No cache of what there is: garbage collection runs beside it.
        let config = serde_json::json!({
            "version": "0.1",
            "log": { "level": "warn", "formatter": "json", "accesslog": { "disabled": true } },
            "storage": {
                "filesystem": { "rootdirectory": self.storage() },
                "delete": { "enabled": true },
                "maintenance": { "uploadpurging": { "enabled": true, "age": "24h", "interval": "6h", "dryrun": false } },
            },
            "http": { "net": "unix", "addr": self.socket(), "secret": secret },
        });
        let path = self.config();
        atomic::write("registry.config", &path, config.to_string().as_bytes(), 0o600).map_err(failed("write", &path))
    }

    /// Keeps the program running until told to stop; then ends it.
    pub(super) async fn keep(self, state: watch::Sender<State>, stop: CancellationToken) {
        let mut pause = PAUSE;
        self.end_left();
        while !stop.is_cancelled() {
            let began = tokio::time::Instant::now();
            let why = self.once(&state, &stop).await;
            if stop.is_cancelled() {
                return;
            }
            tracing::warn!(%why, "the registry is down; it is started again");
            state.send_replace(State::Down(why));
            pause = if began.elapsed() > LIVED { PAUSE } else { (pause * 2).min(LONGEST) };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One life of the program; why it ended.
    async fn once(&self, state: &watch::Sender<State>, stop: &CancellationToken) -> String {
        let (started, ended) = match self.start() {
            Ok(running) => running,
            Err(error) => return format!("{} could not be started: {error}", self.path.display()),
        };
        let Ok(pidfd) = started.await else { return "its thread ended early".to_owned() };
        let pidfd = match pidfd {
            Ok(pidfd) => pidfd,
            Err(error) => return format!("{} could not be started: {error}", self.path.display()),
        };
        let mut ended = ended;
        let answers = async {
            while upstream::ping(&self.socket()).await.is_err() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = answers => {}
            why = &mut ended => return said(why),
            () = tokio::time::sleep(PATIENCE) => {
                end(&pidfd, ended).await;
                return format!("it gave no answer within {} s", PATIENCE.as_secs());
            }
            () = stop.cancelled() => {
                end(&pidfd, ended).await;
                return String::new();
            }
        }
        state.send_replace(State::Up);
        tokio::select! {
            why = &mut ended => said(why),
            () = stop.cancelled() => {
                end(&pidfd, ended).await;
                String::new()
            }
        }
    }

    /// Starts it from a thread of its own, which stays until it ends: the kernel's word to the child is about the
    /// thread that made it.
    fn start(&self) -> std::io::Result<(oneshot::Receiver<std::io::Result<OwnedFd>>, oneshot::Receiver<String>)> {
        let (begun, started) = oneshot::channel();
        let (over, ended) = oneshot::channel();
        let this = self.clone();
        std::thread::Builder::new().name("registry".to_owned()).stack_size(256 << 10).spawn(move || {
            let mut child = match this.spawn() {
                Ok(child) => child,
                Err(error) => return drop(begun.send(Err(error))),
            };
            let told = this.note(&child).and_then(|()| pidfd(child.id()));
            if told.is_err() {
                let _gone = child.kill();
            }
            // Nobody waits any more where the master stops meanwhile; the child is waited for all the same.
            let _told = begun.send(told);
            let last = listen_to(&mut child);
            let _told = over.send(match child.wait() {
                Ok(status) => how(status, &last),
                Err(error) => format!("it could not be waited for: {error}"),
            });
        })?;
        Ok((started, ended))
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let mut command = Command::new(SETPRIV);
        command.args(["--pdeathsig", "SIGTERM", "--"]).arg(&self.path).arg("serve").arg(self.config());
        // Its settings can come from the environment too: from ours they must not.
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(&self.dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
    }

    fn note(&self, child: &Child) -> std::io::Result<()> {
        let since = started_at(child.id()).unwrap_or_default();
        atomic::write("registry.pid", &self.pid_file(), format!("{} {since}\n", child.id()).as_bytes(), 0o600)
    }

    /// Ends what an earlier master left, where it is still the process that was noted.
    fn end_left(&self) {
        let Ok(text) = std::fs::read_to_string(self.pid_file()) else { return };
        let mut words = text.split_whitespace();
        let (Some(Ok(pid)), Some(since)) = (words.next().map(str::parse::<u32>), words.next()) else { return };
        let Ok(pidfd) = pidfd(pid) else { return };
        // Held by the descriptor, the number means no other process from here on.
        if started_at(pid).is_none_or(|now| now != since) {
            return;
        }
        tracing::warn!(pid, "a registry that an earlier master left is ended");
        // It may be gone by itself in this moment.
        let _gone = pidfd_send_signal(&pidfd, Signal::KILL);
        wait_for(&pidfd, FAREWELL);
    }
}

fn pidfd(pid: u32) -> std::io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| std::io::Error::other("a process has no number"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// When a process began, in the kernel's ticks: with its number, its name for good.
fn started_at(pid: u32) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(19).map(str::to_owned)
}

fn wait_for(pidfd: &OwnedFd, limit: Duration) {
    let mut fds = [rustix::event::PollFd::new(pidfd, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: i64::try_from(limit.as_secs()).unwrap_or(1), tv_nsec: 0 };
    let _looked = rustix::event::poll(&mut fds, Some(&limit));
}

/// Asks it to end, then ends it, and waits until it has.
async fn end(pidfd: &OwnedFd, mut ended: oneshot::Receiver<String>) {
    for signal in [Signal::TERM, Signal::KILL] {
        let _gone = pidfd_send_signal(pidfd, signal);
        if tokio::time::timeout(FAREWELL, &mut ended).await.is_ok() {
            return;
        }
    }
    tracing::error!("the registry could not be ended");
}

/// Passes its log on; the last line says why it ends.
fn listen_to(child: &mut Child) -> String {
    let Some(stderr) = child.stderr.take() else { return String::new() };
    let mut lines = BufReader::new(stderr);
    let mut last = String::new();
    loop {
        let mut line = Vec::new();
        match (&mut lines).take(LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return last,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                last = text.chars().filter(|c| !c.is_control()).collect();
                tracing::debug!(line = last, "registry");
            }
        }
    }
}

fn how(status: ExitStatus, last: &str) -> String {
    if last.is_empty() { format!("it ended ({status})") } else { format!("it ended ({status}): {last}") }
}

fn said(why: Result<String, oneshot::error::RecvError>) -> String {
    why.unwrap_or_else(|_| "its thread ended early".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_with_what_to_do() {
        let error = find("/nonexistent/registry").unwrap_err();
        assert!(error.contains("/nonexistent/registry"), "{error}");
        assert!(find("off").unwrap_err().contains("danube.toml"));
    }

    #[tokio::test]
    async fn a_program_that_dies_is_told_with_its_last_word() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("registry");
        std::fs::write(&program, "#!/bin/sh\necho no room >&2\nexit 3\n").unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let program = Program { path: program, dir: dir.path().join("registry.d") };
        program.install("s").unwrap();
        let (sender, mut state) = watch::channel(State::Starting);
        let stop = CancellationToken::new();
        let keeping = tokio::spawn(program.keep(sender, stop.clone()));
        let seen = state.wait_for(|state| matches!(state, State::Down(_))).await.unwrap().clone();
        assert!(matches!(&seen, State::Down(why) if why.contains("no room")), "{seen:?}");
        stop.cancel();
        keeping.await.unwrap();
    }

    #[test]
    fn what_an_earlier_master_left_is_ended_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let program = Program { path: "/bin/true".into(), dir: dir.path().to_owned() };
        let mut left = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let mut other = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        program.note(&left).unwrap();
        program.end_left();
        assert!(!left.wait().unwrap().success());
        // The number is another process's by now.
        std::fs::write(program.pid_file(), format!("{} 1\n", other.id())).unwrap();
        program.end_left();
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
