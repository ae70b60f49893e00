//! A bundle run by crun and nothing else: what a step of Danube is measured against.
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use super::cgroup::Cgroups;
use super::crun::CRUN;
use super::uids::Range;
use super::{rootfs, sys};
use crate::executor::StepKind;

/// The root of a step on the pseudo-image `host` as a plain directory, for the job whose first user is `base`.
pub fn host_root(dir: &Path, base: u32) -> io::Result<()> {
    rootfs::make(dir, Range::leased(base), StepKind::Step)
}

/// Runs a bundle from start to removal as this machine needs it; `frame` is the first process's descriptor 3.
pub fn run_bundle(state: &Path, bundle: &Path, id: &str, frame: &File) -> io::Result<ExitStatus> {
    let mut command = Command::new(CRUN);
    command.env_clear().arg("--root").arg(state).arg("--cgroup-manager=cgroupfs");
    command.args(["run", "--preserve-fds=1", "-b"]).arg(bundle).arg(id);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if Cgroups::probe().hide_unified {
        sys::hide_unified(&mut command);
    }
    sys::pass(&mut command, &[frame])?;
    command.status()
}
