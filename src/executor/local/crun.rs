//! Calls of the container runtime.
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Local, sys};

/// The runtime.
pub(super) const CRUN: &str = "/usr/bin/crun";

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

    /// Sends a signal to a container's first process; quiet where the container is gone.
    pub(super) fn crun_kill(&self, container: &str, signal: &str) {
        let mut command = self.crun();
        command.args(["kill", container, signal]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = command.status() {
            tracing::warn!(%error, container, "crun could not be run");
        }
    }

    /// Ends a container and removes what crun keeps of it; quiet where there is nothing.
    pub(super) fn crun_delete(&self, container: &str) {
        if !crun_state(&self.layout.crun(), container) {
            return;
        }
        let mut command = self.crun();
        command.args(["delete", "--force", container]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = command.status() {
            tracing::warn!(%error, container, "crun could not be run");
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
        let Ok(entries) = std::fs::read_dir(self.layout.crun()) else { return };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        for name in names.filter(|name| name.starts_with(prefix)) {
            self.crun_delete(&name);
        }
    }
}

fn crun_state(root: &Path, container: &str) -> bool {
    root.join(container).exists()
}
