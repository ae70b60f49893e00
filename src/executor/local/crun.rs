//! Calls of the container runtime.
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{Local, sys};

/// The runtime.
pub(super) const CRUN: &str = "/usr/bin/crun";

/// How long a call of the runtime may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at a call that runs.
const LOOK: Duration = Duration::from_millis(1);

impl Local {
    /// A crun command with its global options and nothing inherited.
    pub(super) fn crun(&self) -> Command {
        let mut command = Command::new(CRUN);
        command.env_clear().arg("--root").arg(self.layout.crun()).arg("--cgroup-manager=cgroupfs");
        if self.cgroups.hide_unified {
            sys::hide_unified(&mut command);
        }
        command
    }

    /// Ends a container and removes what crun keeps of it; quiet where there is nothing.
    pub(super) fn crun_delete(&self, container: &str) {
        if !crun_state(&self.layout.crun(), container) {
            return;
        }
        let mut command = self.crun();
        command.args(["delete", "--force", container]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = status_within(&mut command, PATIENCE) {
            tracing::warn!(%error, container, "crun could not delete a container");
        }
        // A state directory that crun could not finish is of no use to anybody.
        self.crun_forget(container);
    }

    /// Removes what crun keeps of a container that has ended.
    pub(super) fn crun_forget(&self, container: &str) {
        if let Err(error) = std::fs::remove_dir_all(self.layout.crun().join(container))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, container, "crun's state could not be removed");
        }
    }

    /// Ends every container whose name begins so.
    pub(super) fn crun_delete_all(&self, prefix: &str) {
        self.crun_known(prefix).iter().for_each(|name| self.crun_delete(name));
    }

    /// Removes what crun keeps of containers that have ended and whose name begins so.
    pub(super) fn crun_forget_all(&self, prefix: &str) {
        self.crun_known(prefix).iter().for_each(|name| self.crun_forget(name));
    }

    /// The containers of which crun keeps something and whose name begins so.
    pub(super) fn crun_known(&self, prefix: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.layout.crun()) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.starts_with(prefix)).collect()
    }
}

fn crun_state(root: &Path, container: &str) -> bool {
    root.join(container).exists()
}

/// Runs a command to its end, or kills it: nothing may wait for a runtime that hangs.
fn status_within(command: &mut Command, limit: Duration) -> std::io::Result<ExitStatus> {
    let mut child = command.spawn()?;
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no end after {limit:?}; killed")));
        }
        std::thread::sleep(LOOK);
    }
}
