//! A job's place on the machine: its uid range, workspace, checkout and the master's socket directory.
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::PoisonError;

use super::cgroup::Cgroups;
use super::measure::Amount;
use super::space::Ready;
use super::uids::Range;
use super::{Layout, Local, uids};
use crate::executor::{ExecutorError, JobPlace, JobSpec, SpaceLimit, StepAt};
use crate::model::JobId;
use crate::platform::fault;

impl Local {
    /// Makes the job's place from `source`, once.
    pub fn ensure_job(&self, spec: &JobSpec, source: File) -> Result<JobPlace, ExecutorError> {
        let lock = self.lock_of(spec.job);
        let _one = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let place = JobPlace { socket_dir: self.layout.socket_dir(spec.job), space: Some(SpaceLimit::Watch) };
        self.make_socket_dir(spec.job).map_err(|e| io_error("make the job's socket directory", &e))?;
        if self.layout.ready(spec.job).exists() {
            return Ok(place);
        }
        let dir = self.layout.job(spec.job);
        // A workspace that is taken over has files already.
        let free = Amount::free(&self.layout.jobs()).ok().filter(|_| spec.adopt.is_none());
        // What stands here without the mark is half done, perhaps by a helper that outlived its executor.
        self.end_rest(spec.job)?;
        if let Some(from) = spec.adopt {
            self.adopt(from, spec.job)?;
            self.checkout_beside(spec.job, source)?;
        } else {
            remove_tree(&dir).map_err(|e| io_error("remove a half-made workspace", &e))?;
            fault::around("executor.tree", || self.make_tree(spec.job))
                .map_err(|e| io_error("make the workspace", &e))?;
            self.checkout(spec.job, source)?;
        }
        let ready = serde_json::to_vec(&Ready::of(spec, free)).map_err(|e| ExecutorError::Start(e.to_string()))?;
        crate::platform::atomic::write("executor.ready", &self.layout.ready(spec.job), &ready, 0o600)
            .map_err(|e| io_error("mark the workspace as ready", &e))?;
        self.forget_kept(spec.job)?;
        Ok(place)
    }

    fn make_socket_dir(&self, job: JobId) -> io::Result<()> {
        make_dir(&self.layout.job_run(job), 0o711)?;
        let dir = self.layout.socket_dir(job);
        make_dir(&dir, 0o711)?;
        chown(&dir, Some(self.master_uid), Some(self.master_uid))
    }

    /// The parts of a job's directory that are missing, its workspace among them.
    pub(super) fn make_tree(&self, job: JobId) -> io::Result<()> {
        let dir = self.layout.job(job);
        make_dir(&dir, 0o711)?;
        let base = self.lease(&dir)?.base;
        for path in [self.layout.steps(job), self.layout.roots(job)] {
            make_dir(&path, 0o711)?;
        }
        let own = [self.layout.workspace(job), self.layout.source(job)];
        for path in own.iter().filter(|path| !path.exists()) {
            make_dir(path, 0o755)?;
            chown(path, Some(base), Some(base))?;
        }
        Ok(())
    }

    /// The users of the host that the job's are.
    pub(super) fn users_of(&self, job: JobId) -> Result<Range, ExecutorError> {
        let dir = self.layout.job(job);
        if !dir.exists() {
            return Err(ExecutorError::Lost(format!("job {job} has no workspace on this machine")));
        }
        self.lease(&dir).map_err(|e| io_error("find the job's uid range", &e))
    }

    fn lease(&self, dir: &Path) -> io::Result<Range> {
        match self.rootless {
            true => Ok(Range::ONE),
            false => uids::lease(&self.layout.uids, dir).map(Range::leased),
        }
    }

    /// The jobs that have a directory here.
    pub fn list(&self) -> Result<Vec<JobId>, ExecutorError> {
        let entries = fs::read_dir(self.layout.jobs()).map_err(|e| io_error("list the jobs", &e))?;
        Ok(entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
    }

    /// The step attempts of a job that have a directory.
    pub(super) fn attempts(&self, job: JobId) -> Vec<StepAt> {
        let Ok(entries) = fs::read_dir(self.layout.steps(job)) else { return Vec::new() };
        entries.flatten().filter_map(|e| Layout::parse_step(job, &e.path())).collect()
    }

    /// Ends every process of the job and removes all that it left.
    pub fn teardown(&self, job: JobId) -> Result<(), ExecutorError> {
        let lock = self.lock_of(job);
        let _one = lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.end_all(job)?;
        self.remove(job)
    }

    /// Ends every process of the job.
    pub(super) fn end_all(&self, job: JobId) -> Result<(), ExecutorError> {
        self.wait_for_clearing(job);
        let attempts = self.attempts(job);
        // All at once, then one after the other: a job may have left many.
        attempts.iter().for_each(|at| self.kill_attempt(*at));
        // Where something stays, its uids and files stay taken: nothing of it may meet the next job.
        attempts.iter().try_for_each(|at| self.end_attempt(*at))?;
        self.end_rest(job)?;
        self.crun_forget_all(&format!("danube-{}-{job}-", self.layout.instance));
        self.cgroups.remove(&self.job_cgroup(job));
        Ok(())
    }

    /// Removes the files of a job that has ended.
    pub(super) fn remove(&self, job: JobId) -> Result<(), ExecutorError> {
        self.disconnect(job).map_err(|e| io_error("remove the job's network", &e))?;
        let dir = self.layout.job(job);
        fault::around("executor.teardown", || remove_tree(&dir)).map_err(|e| io_error("remove the workspace", &e))?;
        // A request that came late may have made one more while the directory stood.
        self.disconnect(job).map_err(|e| io_error("remove the job's network", &e))?;
        remove_tree(&self.layout.job_run(job)).map_err(|e| io_error("remove the job's sockets", &e))?;
        if self.rootless {
            return Ok(());
        }
        uids::release(&self.layout.uids, &dir).map_err(|e| io_error("give the uid range back", &e))
    }

    /// The cgroup that holds all of a job's.
    pub(super) fn job_cgroup(&self, job: JobId) -> String {
        format!("{}/{job}", Cgroups::instance(&self.layout.instance))
    }
}

/// Makes a directory with exactly this mode, whatever the umask; well where it stands.
pub(super) fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Removes a tree that a job may have made as deep and as wide as it liked: by `rm`, which needs
/// neither stack nor path length for that, and stays on one file system.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    let output = Command::new("/bin/rm")
        .args(["-rf", "--one-file-system", "--"])
        .arg(path)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(said.lines().next().unwrap_or("rm failed").to_owned()))
}

/// A failure of the machine, as the master may read it.
pub(super) fn io_error(what: &str, error: &io::Error) -> ExecutorError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ExecutorError::OutOfSpace(format!("could not {what}: {error}"))
        }
        _ => ExecutorError::Start(format!("could not {what}: {error}")),
    }
}
