//! The processes of an attempt, found and ended without the runtime, which may hang or be gone: the
//! children of its shim, and whatever its cgroups hold.
//!
//! Every container has a pid namespace of its own: with its first process the kernel ends all of it, whatever
//! it forks meanwhile, and that process stands in each of these lists.
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use danube_shim::record::Records;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Local;
use super::step::shim_lives;
use crate::executor::{ExecutorError, StepAt};
use crate::model::JobId;

/// How long killed processes get to be gone.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at what was killed.
const LOOK: Duration = Duration::from_millis(5);

impl Local {
    /// Ends the attempt with its shim, surely; an error where something of it stays.
    pub(super) fn end_attempt(&self, at: StepAt) -> Result<(), ExecutorError> {
        let dir = self.layout.step(at);
        let begun = Instant::now();
        while shim_lives(&dir) {
            match begun.elapsed() {
                // It has nothing left to supervise and still holds on: it was stopped, or its disk is full.
                waited if waited >= 2 * PATIENCE => {
                    return Err(ExecutorError::Running(format!("the supervisor of attempt {at}")));
                }
                waited if waited >= PATIENCE => self.kill_shim(at),
                _ => self.kill_attempt(at),
            }
            self.wait_for_shim(at, 20 * LOOK);
        }
        self.end_rest_of(at)
    }

    /// Kills what the attempt's shim supervises, and whatever else is in its cgroups; once.
    pub(super) fn kill_attempt(&self, at: StepAt) {
        for child in self.children_of_shim(at) {
            // It may have ended by itself.
            let _gone = pidfd_send_signal(&child.handle, Signal::KILL);
        }
        self.kill_in(&self.layout.cgroup(at));
    }

    /// Ends what an attempt left whose shim is gone.
    pub(super) fn end_rest_of(&self, at: StepAt) -> Result<(), ExecutorError> {
        if self.rootless {
            // No cgroup holds it there; the runtime alone knows its first process.
            self.crun_delete(&self.layout.container(at));
            return Ok(());
        }
        self.end_processes(&self.layout.cgroup(at), || format!("processes of attempt {at}"))
    }

    /// Ends what is left of a job, helpers of an executor that died among it.
    pub(super) fn end_rest(&self, job: JobId) -> Result<(), ExecutorError> {
        if self.rootless {
            // No cgroup holds them together there, only the name.
            self.crun_delete_all(&format!("danube-{}-{job}-", self.layout.instance));
        }
        self.end_processes(&self.job_cgroup(job), || format!("processes of job {job}"))
    }

    /// Kills whatever is left in a cgroup, until nothing is.
    pub(super) fn end_processes(&self, cgroup: &str, what: impl Fn() -> String) -> Result<(), ExecutorError> {
        let limit = Instant::now() + PATIENCE;
        loop {
            let left = self.kill_in(cgroup);
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() >= limit {
                tracing::error!(cgroup, pids = ?left, "processes can't be ended");
                return Err(ExecutorError::Running(what()));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Kills every process in a cgroup; who was there.
    fn kill_in(&self, cgroup: &str) -> Vec<i32> {
        let pids = self.cgroups.processes(cgroup);
        if !pids.is_empty() {
            self.cgroups.kill(cgroup);
        }
        for pid in pids.iter().copied().filter_map(Pid::from_raw) {
            let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
            // The number may have gone to somebody else since it was read: the handle stays what it was.
            if is_in(&proc(pid), cgroup) {
                let _gone = pidfd_send_signal(&handle, Signal::KILL);
            }
        }
        if !pids.is_empty() {
            self.cgroups.thaw(cgroup);
        }
        pids
    }

    /// Asks every process of an attempt to end, through the container's first one; false where that is not there
    /// yet.
    pub(super) fn ask_to_end(&self, at: StepAt) -> bool {
        let first = self.children_of_shim(at).into_iter().find(Child::hears_signals);
        first.is_some_and(|first| pidfd_send_signal(&first.handle, Signal::TERM).is_ok())
    }

    /// What it would have recorded is lost with it.
    fn kill_shim(&self, at: StepAt) {
        let Some(shim) = self.shim(at) else { return };
        let Ok(handle) = pidfd_open(shim, PidfdFlags::empty()) else { return };
        if shim_lives(&self.layout.step(at)) {
            tracing::warn!(attempt = %at, "a supervisor that does not end is killed");
            let _gone = pidfd_send_signal(&handle, Signal::KILL);
        }
    }

    /// The shim that started the attempt, where one did; it may be gone.
    fn shim(&self, at: StepAt) -> Option<Pid> {
        let started = Records::open(&self.layout.step(at)).ok()?.started().ok()??;
        Pid::from_raw(i32::try_from(started.pid).ok()?)
    }

    /// What a living shim supervises: crun while it starts the container, then the container's first process.
    fn children_of_shim(&self, at: StepAt) -> Vec<Child> {
        let Some(shim) = self.shim(at) else { return Vec::new() };
        let children: Vec<Child> = children(shim).into_iter().filter_map(|pid| Child::of(shim, pid)).collect();
        // As long as the shim lives its number is nobody else's, and so were its children's parents.
        if shim_lives(&self.layout.step(at)) { children } else { Vec::new() }
    }
}

/// A child of a shim.
struct Child {
    pid: Pid,
    handle: OwnedFd,
}

impl Child {
    fn of(parent: Pid, pid: Pid) -> Option<Self> {
        let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        (parent_of(pid)? == parent).then_some(Self { pid, handle })
    }

    /// The container's first process is ours by now and passes on what it is told: it listens before it
    /// starts the command, its first child.
    fn hears_signals(&self) -> bool {
        let line = fs::read(proc(self.pid).join("cmdline"));
        line.is_ok_and(|line| line.starts_with(b"/danube/init")) && !children(self.pid).is_empty()
    }
}

fn proc(pid: Pid) -> std::path::PathBuf {
    Path::new("/proc").join(pid.as_raw_nonzero().to_string())
}

/// The children of a process; where the kernel does not list them, they are looked for.
fn children(pid: Pid) -> Vec<Pid> {
    let number = pid.as_raw_nonzero().to_string();
    if let Ok(text) = fs::read_to_string(proc(pid).join("task").join(number).join("children")) {
        return text.split_whitespace().filter_map(|word| Pid::from_raw(word.parse().ok()?)).collect();
    }
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(|one| parent_of(*one) == Some(pid)).collect()
}

/// The fourth field of `stat`; the name before it may hold anything.
fn parent_of(pid: Pid) -> Option<Pid> {
    let text = fs::read_to_string(proc(pid).join("stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Pid::from_raw(rest.split_whitespace().nth(1)?.parse().ok()?)
}

/// Whether a process, by its directory of /proc, is in this cgroup or one below it, in any hierarchy.
pub(super) fn is_in(process: &Path, cgroup: &str) -> bool {
    let text = fs::read_to_string(process.join("cgroup")).unwrap_or_default();
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.into_iter().any(|path| {
        path.find(cgroup).is_some_and(|at| {
            let rest = &path[at + cgroup.len()..];
            rest.is_empty() || rest.starts_with('/')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_below_its_parent_alone() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let (own, pid) = (rustix::process::getpid(), Pid::from_child(&child));
        assert_eq!(parent_of(pid), Some(own));
        assert!(Child::of(own, pid).is_some());
        assert!(Child::of(pid, own).is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(Child::of(own, pid).is_none());
    }
}
