//! What an executor finds of one that died, and removes before it serves: nothing of it belongs to a request.
//!
//! The lock on the directories is held, so every helper and every half-made thing is a dead executor's; step
//! attempts belong to their shims and stay as long as those live. Only names of this instance are looked at.
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};

use super::cgroup::Cgroups;
use super::job::remove_tree;
use super::step::{shim_lives, was_started};
use super::{Local, uids};
use crate::executor::StepAt;
use crate::model::JobId;

const DEAD: &str = "the executor that made it died";

impl Local {
    /// Finds and removes what is left of executors that died. What can't be removed is told and left: the end of
    /// its job tries again.
    pub(super) fn remove_leftovers(&self) {
        if !self.rootless {
            self.unmount_leftovers();
        }
        for job in self.list().unwrap_or_default() {
            self.remove_helpers(job);
            self.attempts(job).into_iter().for_each(|at| self.remove_attempt(at));
        }
        let standing = self.standing();
        self.remove_containers_of_no_job(&standing);
        self.remove_cgroups_of_no_job(&standing);
        self.remove_sockets_of_no_job(&standing);
        self.remove_networks_of_no_job(&standing);
        self.remove_temporary_files();
        self.remove_half_layers();
        if !self.rootless {
            self.release_leases_of_no_job();
        }
    }

    /// The jobs that have a directory: here, or with another executor that was given the same instance.
    fn standing(&self) -> HashSet<JobId> {
        let leased = uids::holders(&self.layout.uids).unwrap_or_default();
        let leased = leased.into_iter().filter(|owner| owner.exists());
        let elsewhere = leased.filter_map(|owner| owner.file_name()?.to_str()?.parse().ok());
        self.list().unwrap_or_default().into_iter().chain(elsewhere).collect()
    }

    /// Containers have mounts of their own: none shows on the machine, unless something went wrong.
    fn unmount_leftovers(&self) {
        let jobs = self.layout.jobs();
        let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mounts = text.lines().filter_map(|line| line.split(' ').nth(4)).map(|path| PathBuf::from(unescaped(path)));
        // Below a job's directory; above it, an administrator may have put a disk.
        let of_jobs = mounts.filter_map(|path| Some((job_in(path.strip_prefix(&jobs).ok()?)?, path)));
        let mut of_jobs: Vec<(JobId, PathBuf)> = of_jobs.collect();
        of_jobs.reverse();
        for (job, path) in of_jobs {
            match unmount(&path, UnmountFlags::DETACH) {
                Ok(()) => removed("a mount", &path.display().to_string(), Some(job), DEAD),
                Err(error) => kept("a mount", &path, &error),
            }
        }
    }

    /// Helpers end with the executor that asked for them.
    fn remove_helpers(&self, job: JobId) {
        let prefix = format!("danube-{}-{job}-", self.layout.instance);
        let mut names: Vec<String> = self.crun_known(&format!("{prefix}h"));
        let cgroup = self.job_cgroup(job);
        let of_cgroups = self.cgroups.below(&cgroup).into_iter().filter(|name| name.starts_with('h'));
        names.extend(of_cgroups.map(|name| format!("{prefix}{name}")));
        let bundles = fs::read_dir(self.layout.roots(job)).into_iter().flatten().flatten();
        let bundles = bundles.filter_map(|entry| entry.file_name().into_string().ok());
        names.extend(bundles.filter(|name| name.starts_with('h')).map(|name| format!("{prefix}{name}")));
        names.sort_unstable();
        names.dedup();
        for name in names {
            let short = name.strip_prefix(&prefix).unwrap_or_default();
            self.crun_delete(&name);
            let below = format!("{cgroup}/{short}");
            if let Err(error) = self.end_processes(&below, || format!("helper {short} of job {job}")) {
                tracing::error!(%job, %error, "a helper of an executor that died does not end");
                continue;
            }
            self.cgroups.remove(&below);
            self.crun_forget(&name);
            let bundle = self.layout.roots(job).join(short);
            match remove_tree(&bundle) {
                Ok(()) => removed("a workspace helper", short, Some(job), DEAD),
                Err(error) => kept("a workspace helper", &bundle, &error),
            }
        }
    }

    /// What an attempt without a shim has beside its records, which the master reads.
    fn remove_attempt(&self, at: StepAt) {
        // One that was not started may be about to: its shim takes the lock first.
        let dir = self.layout.step(at);
        if !was_started(&dir) || shim_lives(&dir) {
            return;
        }
        let container = self.layout.container(at);
        let bundle = self.layout.roots(at.job).join(format!("{}.{}", at.step, at.attempt));
        let stands =
            !self.crun_known(&container).is_empty() || self.cgroups.exists(&self.layout.cgroup(at)) || bundle.exists();
        if !stands {
            return;
        }
        if let Err(error) = self.end_rest_of(at) {
            return tracing::error!(attempt = %at, %error, "what an attempt left does not end");
        }
        self.clear(at);
        let why = "its supervisor has ended, and the executor died before it cleared this away";
        removed("the container of a step", &format!("{}.{}", at.step, at.attempt), Some(at.job), why);
    }

    fn remove_containers_of_no_job(&self, standing: &HashSet<JobId>) {
        let prefix = format!("danube-{}-", self.layout.instance);
        for name in self.crun_known(&prefix) {
            let job = name.strip_prefix(&prefix).and_then(|rest| rest.get(..36)?.parse::<JobId>().ok());
            if let Some(job) = job.filter(|job| !standing.contains(job)) {
                self.crun_delete(&name);
                removed("a container", &name, Some(job), "its job is gone");
            }
        }
    }

    fn remove_cgroups_of_no_job(&self, standing: &HashSet<JobId>) {
        let instance = Cgroups::instance(&self.layout.instance);
        for name in self.cgroups.below(&instance) {
            let Some(job) = name.parse::<JobId>().ok().filter(|job| !standing.contains(job)) else { continue };
            let cgroup = format!("{instance}/{name}");
            if let Err(error) = self.end_processes(&cgroup, || format!("processes in {cgroup}")) {
                tracing::error!(cgroup, %error, "a cgroup of no job can't be emptied");
                continue;
            }
            if self.cgroups.remove(&cgroup) {
                removed("a cgroup", &cgroup, Some(job), "its job is gone");
            }
        }
    }

    fn remove_sockets_of_no_job(&self, standing: &HashSet<JobId>) {
        for entry in fs::read_dir(self.layout.run.join("jobs")).into_iter().flatten().flatten() {
            let job = entry.file_name().to_str().and_then(|name| name.parse::<JobId>().ok());
            let Some(job) = job.filter(|job| !standing.contains(job)) else { continue };
            let path = entry.path();
            match remove_tree(&path) {
                Ok(()) => removed("sockets", &path.display().to_string(), Some(job), "its job is gone"),
                Err(error) => kept("sockets", &path, &error),
            }
        }
    }

    fn remove_networks_of_no_job(&self, standing: &HashSet<JobId>) {
        for job in self.connected().into_iter().filter(|job| !standing.contains(job)) {
            match self.disconnect(job) {
                Ok(()) => removed("a network", &job.to_string(), Some(job), "its job is gone"),
                Err(error) => kept("a network", &self.layout.nets(), &error),
            }
        }
        if let Err(error) = self.leave_host_unused() {
            kept("the machine's side of networks", &self.layout.nets(), &error);
        }
    }

    /// Halves of files that were to be renamed into place, and of the executor's own socket.
    fn remove_temporary_files(&self) {
        let (bin, sdk) = (self.layout.root.join("bin"), self.layout.sdk().join("danube"));
        let jobs = self.list().unwrap_or_default().into_iter().map(|job| self.layout.job(job));
        for dir in [bin, sdk, self.layout.caches()].into_iter().chain(jobs) {
            let job = dir.file_name().and_then(|name| name.to_str()?.parse::<JobId>().ok());
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let half = name.starts_with('.') && name.ends_with(".tmp");
                if half && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                    remove_file("a half-written file", &entry.path(), job);
                }
            }
        }
        let fresh = self.layout.socket().with_extension("new");
        if fs::symlink_metadata(&fresh).is_ok_and(|meta| meta.file_type().is_socket()) {
            remove_file("a socket that nobody serves", &fresh, None);
        }
    }

    fn release_leases_of_no_job(&self) {
        match uids::release_gone(&self.layout.uids, &self.layout.jobs()) {
            Ok(owners) => owners.iter().for_each(|owner| {
                let job = owner.file_name().and_then(|name| name.to_str()?.parse().ok());
                removed("a range of uids", &owner.display().to_string(), job, "its job is gone");
            }),
            Err(error) => kept("ranges of uids", &self.layout.uids, &error),
        }
    }
}

fn remove_file(what: &str, path: &Path, job: Option<JobId>) {
    match fs::remove_file(path) {
        Ok(()) => removed(what, &path.display().to_string(), job, DEAD),
        Err(error) => kept(what, path, &error),
    }
}

fn removed(what: &str, name: &str, job: Option<JobId>, why: &str) {
    let job = job.map_or_else(|| "none".to_owned(), |job| job.to_string());
    tracing::info!(what, name, job, why, "removed a left-over");
}

fn kept(what: &str, path: &Path, error: &dyn std::error::Error) {
    tracing::warn!(what, path = %path.display(), error = %error, "a left-over can't be removed");
}

/// The job whose directory a path below that of all jobs is in.
fn job_in(path: &Path) -> Option<JobId> {
    path.components().next()?.as_os_str().to_str()?.parse().ok()
}

/// A path of `mountinfo`, where some characters stand as three octal digits.
fn unescaped(text: &str) -> String {
    [(r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", r"\")]
        .iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_mounts_are_read_as_they_are() {
        assert_eq!(unescaped(r"/a\040b\134c"), r"/a b\c");
        let job = "01a1fe6f-ae5a-778e-9642-e63d33687fe7";
        assert_eq!(job_in(Path::new(&format!("{job}/roots/x"))).map(|job| job.to_string()).as_deref(), Some(job));
        assert_eq!(job_in(Path::new("lost+found")), None);
    }
}
