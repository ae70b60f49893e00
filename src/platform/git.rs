//! The network side of git: the `git` program as a child that can be killed.
//!
//! It sees a clean environment, no configuration of the machine or of a person, no prompt, and only
//! addresses that `check_url` let through. Objects are read elsewhere, by git2.
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

mod access;
mod left;
mod library;
mod url;

pub use access::Access;
pub use left::{end_orphans, remove_halves};
pub use library::ignore_configuration;
pub use url::{BadUrl, Transport, check_branch, check_url};

/// Asks for a local repository whoever owns it; an administrator named its address.
pub const SERVE_ANY_OWNER: &str = "--upload-pack=git -c safe.directory=* upload-pack";

/// What is kept of standard output; a call that prints more fails.
const MAX_STDOUT: usize = 8 << 20;
/// What is kept of standard error; the rest is dropped.
const MAX_STDERR: usize = 16 << 10;
/// Protocols that git itself may use, whatever an address or a redirect says.
const PROTOCOLS: &str = "ssh:https:http:file";
/// What the machine's administrator may have set and git needs: where programs are, proxies, trust.
const PASSED_ON: &[&str] = &[
    "PATH",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
];
/// Settings of every call. Redirects are refused, because the new address was not checked.
const SETTINGS: &[(&str, &str)] = &[
    ("credential.helper", ""),
    ("http.followRedirects", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.fsync", "all"),
    ("fetch.recurseSubmodules", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("advice.detachedHead", "false"),
    ("init.defaultBranch", "main"),
];

/// What a finished git printed.
#[derive(Debug)]
pub struct Output {
    /// All of standard output.
    pub stdout: Vec<u8>,
    /// The start of standard error, made printable.
    pub stderr: String,
}

/// Why git did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The program cannot be started.
    #[error("git cannot be started: is it installed and in PATH?")]
    Start(#[source] io::Error),
    /// Its pipes broke.
    #[error("the output of git cannot be read")]
    Read(#[source] io::Error),
    /// It took too long and was killed.
    #[error("git did not finish within {0:?} and was stopped")]
    TimedOut(Duration),
    /// The program is shutting down; git was killed.
    #[error("git was stopped because Danube is stopping")]
    Stopped,
    /// It printed more than any right answer has.
    #[error("git printed more than {MAX_STDOUT} bytes")]
    TooMuchOutput,
    /// It said no.
    #[error("git failed ({status}): {stderr}")]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        stderr: String,
    },
}

/// Runs `git ARGS` in `cwd` to its end, at most `timeout`; kills it with all its children when the
/// time is over, when `stop` is cancelled, or when the future is dropped.
pub async fn run<I>(
    args: I,
    cwd: &Path,
    access: &Access,
    timeout: Duration,
    stop: &CancellationToken,
) -> Result<Output, GitError>
where
    I: IntoIterator,
    I::Item: Into<OsString>,
{
    let mut command = Command::new("git");
    command
        .args(args.into_iter().map(Into::into))
        .current_dir(cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    clean_environment(&mut command, access);
    let child = command.spawn().map_err(GitError::Start)?;
    let mut group = Group { leader: child.id(), child };
    tokio::select! {
        () = stop.cancelled() => Err(GitError::Stopped),
        ended = tokio::time::timeout(timeout, finish(&mut group.child)) => {
            let result = ended.map_err(|_| GitError::TimedOut(timeout))?;
            if !matches!(result, Err(GitError::TooMuchOutput | GitError::Read(_))) {
                group.leader = None;
            }
            result
        }
    }
}

/// Kills the whole process group when dropped before the leader was reaped: git leaves the network
/// to children of its own.
struct Group {
    leader: Option<u32>,
    child: Child,
}

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.leader.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(leader) = leader {
            // It may have ended on its own in this moment, which is as well.
            let _gone = kill_process_group(leader, Signal::KILL);
        }
    }
}

async fn finish(child: &mut Child) -> Result<Output, GitError> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = tokio::try_join!(capture(stdout, MAX_STDOUT), capture(stderr, MAX_STDERR))?;
    let status = child.wait().await.map_err(GitError::Read)?;
    let text = printable(&stderr.bytes);
    if !status.success() {
        return Err(GitError::Failed { status, stderr: text });
    }
    if stdout.cut {
        return Err(GitError::TooMuchOutput);
    }
    Ok(Output { stdout: stdout.bytes, stderr: text })
}

struct Captured {
    bytes: Vec<u8>,
    cut: bool,
}

/// Reads to the end, keeps at most `limit` bytes: a full pipe would stop git for ever.
async fn capture(pipe: Option<impl AsyncRead + Unpin>, limit: usize) -> Result<Captured, GitError> {
    let mut kept = Captured { bytes: Vec::new(), cut: false };
    let Some(mut pipe) = pipe else { return Ok(kept) };
    let mut buffer = [0u8; 8192];
    loop {
        let n = pipe.read(&mut buffer).await.map_err(GitError::Read)?;
        if n == 0 {
            return Ok(kept);
        }
        let room = limit - kept.bytes.len();
        kept.bytes.extend_from_slice(&buffer[..n.min(room)]);
        kept.cut |= n > room;
    }
}

/// What git said comes from the other side too: no control characters, one line.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" / ").chars().filter(|c| !c.is_control()).take(2000).collect()
}

fn clean_environment(command: &mut Command, access: &Access) {
    command.env_clear();
    for name in PASSED_ON {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let fixed = [
        ("HOME", "/nonexistent"),
        ("LC_ALL", "C"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        ("GIT_ALLOW_PROTOCOL", PROTOCOLS),
        ("GIT_PROTOCOL_FROM_USER", "0"),
        ("GIT_NO_LAZY_FETCH", "1"),
    ];
    command.envs(fixed).env("GIT_SSH_COMMAND", access.ssh_command());
    let settings = SETTINGS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let settings: Vec<_> = settings.chain(access.settings()).collect();
    command.env("GIT_CONFIG_COUNT", settings.len().to_string());
    for (n, (key, value)) in settings.into_iter().enumerate() {
        command.env(format!("GIT_CONFIG_KEY_{n}"), key).env(format!("GIT_CONFIG_VALUE_{n}"), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    async fn git(args: &[&str], dir: &Path) -> Result<Output, GitError> {
        run(args.iter().copied(), dir, &Access::Open, LONG, &CancellationToken::new()).await
    }

    #[tokio::test]
    async fn git_answers_and_a_refusal_carries_its_words() {
        let dir = tempfile::tempdir().unwrap();
        let said = git(&["version"], dir.path()).await.unwrap();
        assert!(said.stdout.starts_with(b"git version"));
        match git(&["rev-parse", "HEAD"], dir.path()).await {
            Err(GitError::Failed { stderr, .. }) => assert!(stderr.contains("not a git repository"), "{stderr}"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn transports_that_run_commands_are_refused_by_git_itself() {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("ran");
        let address = format!("ext::touch {}", mark.display());
        assert!(matches!(git(&["ls-remote", "--", &address], dir.path()).await, Err(GitError::Failed { .. })));
        assert!(!mark.exists());
    }

    #[tokio::test]
    async fn a_call_that_hangs_is_killed_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        // An alias that starts a shell, which starts a child that would hold the pipe open.
        let args = ["-c", "alias.hang=!echo $$ > pid; sleep 1000 & wait", "hang"];
        git(&["init", "-q"], dir.path()).await.unwrap();
        let stop = CancellationToken::new();
        let call = run(args, dir.path(), &Access::Open, LONG, &stop);
        let pid_file = dir.path().join("pid");
        let stopper = async {
            loop {
                if let Ok(text) = std::fs::read_to_string(&pid_file)
                    && let Ok(pid) = text.trim().parse::<i32>()
                {
                    stop.cancel();
                    return pid;
                }
                tokio::task::yield_now().await;
            }
        };
        let (result, pid) = tokio::join!(call, stopper);
        assert!(matches!(result, Err(GitError::Stopped)));
        let stat = format!("/proc/{pid}/stat");
        let dead = || std::fs::read_to_string(&stat).map_or(true, |text| text.contains(") Z "));
        while !dead() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn too_little_time_is_an_error_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let hangs = ["-c", "alias.hang=!sleep 1000", "hang"];
        let result = run(hangs, dir.path(), &Access::Open, Duration::ZERO, &CancellationToken::new()).await;
        assert!(matches!(result, Err(GitError::TimedOut(_))));
    }
}
