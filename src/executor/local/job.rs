//! A job's place on the machine: its uid range, workspace, checkout and the master's socket directory.
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::cgroup::Cgroups;
use super::uids::Range;
use super::{Layout, Local, uids};
use crate::executor::{ExecutorError, JobPlace, JobSpec, StepAt};
use crate::model::JobId;

impl Local {
    /// Makes the job's place from `source`, once.
    pub fn ensure_job(&self, spec: &JobSpec, source: File) -> Result<JobPlace, ExecutorError> {
        let lock = self.lock_of(spec.job);
        let _one = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let place = JobPlace { socket_dir: self.layout.socket_dir(spec.job) };
        self.make_socket_dir(spec.job).map_err(|e| io_error("make the job's socket directory", &e))?;
        if self.layout.ready(spec.job).exists() {
            return Ok(place);
        }
        let dir = self.layout.job(spec.job);
        // What stands here without the mark is half done, perhaps by a helper that outlived its executor.
        if !self.end_rest(spec.job) {
            return Err(ExecutorError::Start(format!("an older helper of job {} does not end yet", spec.job)));
        }
        if let Some(from) = spec.adopt {
            self.adopt(from, spec.job)?;
            self.checkout_beside(spec.job, source)?;
        } else {
            remove_tree(&dir).map_err(|e| io_error("remove a half-made workspace", &e))?;
            self.make_tree(spec.job).map_err(|e| io_error("make the workspace", &e))?;
            self.checkout(spec.job, source)?;
        }
        crate::platform::atomic::write(&self.layout.ready(spec.job), b"1\n", 0o600)
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
        for at in self.attempts(job) {
            self.crun_delete(&self.layout.container(at));
        }
        let ended = self.end_rest(job);
        let shims = self.attempts(job).into_iter().all(|at| self.wait_for_shim(at, Duration::from_secs(10)));
        if !ended || !shims {
            // Its uids and files stay taken: nothing of it may meet the next job. Said again, this goes on.
            return Err(ExecutorError::Start(format!("processes of job {job} do not end yet")));
        }
        self.cgroups.remove(&self.job_cgroup(job));
        Ok(())
    }

    /// Removes the files of a job that has ended.
    pub(super) fn remove(&self, job: JobId) -> Result<(), ExecutorError> {
        let dir = self.layout.job(job);
        remove_tree(&dir).map_err(|e| io_error("remove the workspace", &e))?;
        remove_tree(&self.layout.job_run(job)).map_err(|e| io_error("remove the job's sockets", &e))?;
        if self.rootless {
            return Ok(());
        }
        uids::release(&self.layout.uids, &dir).map_err(|e| io_error("give the uid range back", &e))
    }

    /// The cgroup that holds all of a job's.
    fn job_cgroup(&self, job: JobId) -> String {
        format!("{}/{job}", Cgroups::instance(&self.layout.instance))
    }

    /// Ends what is left of a job, helpers of an executor that died among it; false where something stays.
    fn end_rest(&self, job: JobId) -> bool {
        if self.rootless {
            // No cgroup holds them together there, only the name.
            self.crun_delete_all(&format!("danube-{}-{job}-", self.layout.instance));
        }
        self.end_processes(&self.job_cgroup(job))
    }

    /// Kills whatever is left in a cgroup, until nothing is; false where something stays.
    fn end_processes(&self, cgroup: &str) -> bool {
        let limit = Instant::now() + Duration::from_secs(10);
        loop {
            let pids = self.cgroups.processes(cgroup);
            if pids.is_empty() {
                return true;
            }
            if Instant::now() >= limit {
                tracing::error!(cgroup, ?pids, "processes of a job can't be ended");
                return false;
            }
            for pid in pids.into_iter().filter_map(rustix::process::Pid::from_raw) {
                // It may have ended by itself.
                let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
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
