//! The server: a child process, started and stopped as anybody would.
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::place::Place;
use super::unsynced;

/// The time between two looks at something that is awaited.
const LOOK: Duration = Duration::from_millis(100);
/// The longest a stop may take: running work is given 15 seconds by the server.
const STOP: Duration = Duration::from_secs(40);

/// What differs between servers.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::cli) struct Options {
    /// The port on 127.0.0.1; 0: any free one.
    pub(in crate::cli) port: u16,
    /// Calls that wait for the disk do nothing, in the server and in all that it starts: what a power cut
    /// would leave is not cared for. Only to be measured against.
    pub(in crate::cli) without_sync: bool,
}

/// A started server.
pub(in crate::cli) struct Server {
    child: Child,
}

impl Server {
    /// Starts it; it becomes an unprivileged user by itself.
    pub(in crate::cli) fn start(place: &Place, options: Options) -> anyhow::Result<Self> {
        let log = File::create(place.server_log()).context("cannot write the server's log")?;
        let mut command = Command::new(std::env::current_exe().context("cannot find my own program")?);
        // Settings of another server on this machine do not count here.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("DANUBE_") && text != "DANUBE_SHIM" && text != "DANUBE_LOG" {
                command.env_remove(&name);
            }
        }
        command
            .arg("serve")
            .arg("--config")
            .arg(place.toml())
            .arg("--data-dir")
            .arg(place.data())
            .args(["--listen", &format!("127.0.0.1:{}", options.port)])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // What it must not read is not offered: it is another user, who cannot enter root's home.
            .env("HOME", place.data())
            .env_remove("XDG_CONFIG_HOME")
            // Ctrl-C on the terminal is for the parent, which then stops the server in its own time.
            .process_group(0)
            .kill_on_drop(true);
        let child = if options.without_sync { unsynced::spawn(&mut command) } else { command.spawn() };
        let child = child.context("cannot start danube serve")?;
        Ok(Self { child })
    }

    /// Asks again until there is an answer; gives up when the server has ended or the time is over.
    pub(in crate::cli) async fn until<T>(
        &mut self,
        awaited: &str,
        limit: Duration,
        mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(answer) = ask().await? {
                return Ok(answer);
            }
            if let Some(status) = self.ended()? {
                bail!("the server ended ({status}) before {awaited}");
            }
            if Instant::now() >= deadline {
                bail!("waited {} seconds in vain: {awaited}", limit.as_secs());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until it listens; its address.
    pub(in crate::cli) async fn address(&mut self, place: &Place) -> anyhow::Result<SocketAddr> {
        let file = place.data().join("http.addr");
        let read = async || Ok(fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()));
        self.until("it listened", Duration::from_secs(60), read).await
    }

    /// Its process.
    pub(in crate::cli) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// How it ended; none: it runs.
    pub(in crate::cli) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end, which nobody asked for.
    pub(in crate::cli) async fn end(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// Asks it to stop and waits until it has.
    pub(in crate::cli) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).context("the server could not be asked to stop")?;
        }
        if tokio::time::timeout(STOP, self.child.wait()).await.is_err() {
            self.child.kill().await.context("the server could not be killed")?;
            bail!("the server did not stop within {} seconds and was killed", STOP.as_secs());
        }
        Ok(())
    }
}

/// The last lines of the server's log.
pub(in crate::cli) fn last_words(log: &Path) -> Vec<String> {
    const LINES: usize = 15;
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let short = |line: &&str| line.chars().filter(|c| !c.is_control()).take(300).collect();
    lines[lines.len().saturating_sub(LINES)..].iter().map(short).collect()
}

/// The server's own socket.
pub(in crate::cli) fn socket(place: &Place) -> PathBuf {
    place.data().join("api.sock")
}
