//! The interpreter of the person, with the SDK of this binary and a socket that answers from the record.
use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio::net::UnixListener;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Ended;
use crate::cli::say::say;
use crate::cli::style::plain;
use crate::coordinator;
use crate::executor::local::write_sdk;
use crate::model::job::Status;
use crate::orchestrator::Recording;
use crate::platform::{Ids as _, SystemIds};

/// Isolated as in a job: nothing but the SDK is put on the path.
const RUN: &str = "import sys\nif sys.version_info < (3, 11):\n    sys.exit('danube: a danubefile needs Python 3.11 or newer, \
                   and this is ' + sys.version.split()[0] + ': name another one with --python')\n\
                   sys.path.insert(0, sys.argv.pop(1))\nfrom danube._replay import main\nmain()";
/// What the interpreter gets of the person's environment; tokens and keys are not among it.
const ENVIRONMENT: [&str; 9] = ["PATH", "HOME", "USER", "TERM", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "COLORTERM"];
/// The SDK's words for a run that could not go on, a breakpoint on no line, a debugger that was left.
const STOPPED: i32 = 75;
const NO_LINE: i32 = 64;
const LEFT: i32 = 79;

/// A directory that is the person's alone, gone when dropped.
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn make() -> anyhow::Result<Self> {
        let mut bytes = [0; 8];
        SystemIds::new().fill(&mut bytes);
        let dir = std::env::temp_dir().join(format!("danube-replay-{}", hex::encode(bytes)));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("cannot make {}", dir.display()))?;
        // As the interpreter will tell it: a temporary directory may be reached by a link.
        let dir = std::fs::canonicalize(&dir).unwrap_or(dir);
        Ok(Self(dir))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Nothing of it is of use; what stays lies among temporary files.
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// How the danubefile is to be run.
pub(super) struct Python<'a> {
    pub(super) program: &'a Path,
    pub(super) debug: bool,
    pub(super) line: Option<u32>,
    pub(super) place: &'a Place,
}

impl Python<'_> {
    /// Runs the danubefile to its end; well where that is the one that was recorded.
    pub(super) async fn replay(&self, ended: Ended) -> anyhow::Result<ExitCode> {
        let end = ended.end();
        say(&format!("replaying {end}\n"))?;
        if ended.calls.is_empty() {
            bail!("nothing is recorded of {}: it ended before its danubefile was started", ended.label);
        }
        let file = std::fs::canonicalize(ended.source.join(&ended.script))
            .with_context(|| format!("there is no {} in {}", ended.script, ended.source.display()))?;
        let (sdk, rpc) = (self.place.path().join("sdk"), self.place.path().join("rpc"));
        write_sdk(&sdk).with_context(|| format!("cannot write the SDK to {}", sdk.display()))?;
        std::fs::create_dir(&rpc)?;
        let listener = UnixListener::bind(rpc.join("rpc.sock")).context("cannot listen for the danubefile")?;
        // A closed terminal shows at the next prompt.
        let tell = |line: &str| _ = say(&format!("{}\n", plain(line)));
        let recording = Recording::new((ended.label.clone(), end), ended.context, ended.calls, tell);
        let recording = Arc::new(recording);
        let stop = CancellationToken::new();
        let served = tokio::spawn(coordinator::serve_recorded(listener, Arc::clone(&recording), stop.clone()));
        let status = self.run(&file, &sdk, &rpc).await;
        stop.cancel();
        // The interpreter is gone: nobody waits for an answer.
        served.abort();
        verdict(&ended.label, ended.status, &recording, status?)
    }

    async fn run(&self, file: &Path, sdk: &Path, rpc: &Path) -> anyhow::Result<ExitStatus> {
        // Ctrl-C is for the debugger.
        let _theirs = signal(SignalKind::interrupt())?;
        let (mut told, mut hung_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
        let mut command = Command::new(self.program);
        command.args(["-I", "-B", "-c", RUN]).arg(sdk).current_dir(file.parent().unwrap_or(Path::new("/")));
        command.env_clear().envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        let line = self.line.map(|line| line.to_string()).unwrap_or_default();
        let variables: [(&str, OsString); 5] = [
            ("DANUBE_SOCKET_DIR", rpc.into()),
            ("DANUBE_CREDENTIAL", "replay".into()),
            ("DANUBE_FILE", file.into()),
            ("DANUBE_REPLAY_DEBUGGER", if self.debug { "pdb" } else { "none" }.into()),
            ("DANUBE_REPLAY_BREAK", line.into()),
        ];
        command.envs(variables).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| {
            format!("cannot run {}: install Python 3.11 or newer, or name one with --python", self.program.display())
        })?;
        tokio::select! {
            status = child.wait() => return Ok(status?),
            _ = told.recv() => {}
            _ = hung_up.recv() => {}
        }
        child.kill().await?;
        bail!("the replay was told to end")
    }
}

/// Compares the end of the replay with the one of the job.
fn verdict(label: &str, status: Status, recording: &Recording, python: ExitStatus) -> anyhow::Result<ExitCode> {
    let code = python.code().unwrap_or(-1);
    let (differs, text) = match (code, recording.stop()) {
        (NO_LINE, _) => return Ok(ExitCode::from(crate::cli::USAGE)),
        (LEFT, _) => return Ok(ExitCode::SUCCESS),
        // The SDK said why. Else the person asked for something at the debugger's prompt.
        (STOPPED | 0, Some(stop)) => return Ok(if stop.as_recorded { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        (-1, _) => (true, format!("the interpreter was ended: {python}")),
        (0, _) if status == Status::Success => (false, format!("ended well, as {label} did")),
        (0, _) => (true, format!("ended well, while {label} ended as {status}")),
        (_, _) if status == Status::Success => (true, format!("failed, while {label} ended well")),
        (_, _) => (false, format!("failed, as {label} did")),
    };
    say(&format!("the replay {}\n", plain(&text)))?;
    Ok(if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
