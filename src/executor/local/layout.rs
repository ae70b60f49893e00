//! Where the executor keeps what: the one place that joins paths.
use std::path::{Path, PathBuf};

use crate::executor::StepAt;
use crate::model::JobId;

/// The directories of one executor.
#[derive(Debug, Clone)]
pub struct Layout {
    /// On disk, 0711, root: jobs, the shim's and SDK's copies.
    pub root: PathBuf,
    /// On tmpfs, 0711, root: sockets, crun's state.
    pub run: PathBuf,
    /// Leases of uid ranges, shared by all executors of the machine.
    pub uids: PathBuf,
    /// 8 hex digits that every global name of this executor carries.
    pub instance: String,
}

impl Layout {
    pub(super) fn jobs(&self) -> PathBuf {
        self.root.join("jobs")
    }

    pub(super) fn job(&self, job: JobId) -> PathBuf {
        self.jobs().join(job.to_string())
    }

    pub(super) fn workspace(&self, job: JobId) -> PathBuf {
        self.job(job).join("workspace")
    }

    /// The coordinator's checkout.
    pub(super) fn source(&self, job: JobId) -> PathBuf {
        self.job(job).join("source")
    }

    /// Content of caches, by digest.
    pub(super) fn caches(&self) -> PathBuf {
        self.root.join("caches")
    }

    /// What the job's steps see of caches.
    pub(super) fn job_caches(&self, job: JobId) -> PathBuf {
        self.job(job).join("caches")
    }

    /// One cache of a job.
    pub(super) fn job_cache(&self, job: JobId, id: &str) -> PathBuf {
        self.job_caches(job).join(id)
    }

    /// Exists once a cache of a job was filled.
    pub(super) fn cache_mark(&self, job: JobId, id: &str) -> PathBuf {
        self.job_caches(job).join(format!("{id}.filled"))
    }

    /// Exists once workspace and source are complete.
    pub(super) fn ready(&self, job: JobId) -> PathBuf {
        self.job(job).join("ready")
    }

    /// Exists where the job is gone and only its workspace is kept.
    pub(super) fn kept(&self, job: JobId) -> PathBuf {
        self.job(job).join("kept")
    }

    pub(super) fn steps(&self, job: JobId) -> PathBuf {
        self.job(job).join("steps")
    }

    /// The layers of images that the job needs.
    pub(super) fn held_layers(&self, job: JobId) -> PathBuf {
        self.job(job).join("layers")
    }

    /// Bundles and root file systems: searchable by the job's own uids.
    pub(super) fn roots(&self, job: JobId) -> PathBuf {
        self.job(job).join("roots")
    }

    pub(super) fn step(&self, at: StepAt) -> PathBuf {
        self.steps(at.job).join(format!("{}.{}", at.step, at.attempt))
    }

    /// Exists where the attempt was ended for what its job has on disk.
    pub(super) fn full(&self, at: StepAt) -> PathBuf {
        self.step(at).join("full")
    }

    /// The master's directory for the job's gRPC socket.
    pub(super) fn socket_dir(&self, job: JobId) -> PathBuf {
        self.run.join("jobs").join(job.to_string()).join("rpc")
    }

    pub(super) fn job_run(&self, job: JobId) -> PathBuf {
        self.run.join("jobs").join(job.to_string())
    }

    /// Names of network namespaces.
    pub(super) fn nets(&self) -> PathBuf {
        self.run.join("net")
    }

    /// crun's state directory.
    pub(super) fn crun(&self) -> PathBuf {
        self.run.join("crun")
    }

    /// The executor's own socket.
    pub fn socket(&self) -> PathBuf {
        self.run.join("executor.sock")
    }

    /// The copy of the shim that containers see as `/danube/init`.
    pub(super) fn shim(&self) -> PathBuf {
        self.root.join("bin").join("danube-shim")
    }

    /// The copy of the shell that is lent to images which have none.
    pub(super) fn shell(&self) -> PathBuf {
        self.root.join("bin").join("sh")
    }

    /// Layers of images, shared by all jobs.
    pub(super) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// The copy of the SDK that coordinators see as `/danube/sdk`.
    pub(super) fn sdk(&self) -> PathBuf {
        self.root.join("sdk")
    }

    /// The cgroup of a step attempt, below the hierarchy's root.
    pub(super) fn cgroup(&self, at: StepAt) -> String {
        format!("/danube-{}/{}/{}.{}", self.instance, at.job, at.step, at.attempt)
    }

    /// The container's name for crun.
    pub(super) fn container(&self, at: StepAt) -> String {
        format!("danube-{}-{}-{}.{}", self.instance, at.job, at.step, at.attempt)
    }

    /// Reads a directory name of `steps` back.
    pub(super) fn parse_step(job: JobId, dir: &Path) -> Option<StepAt> {
        let (step, attempt) = dir.file_name()?.to_str()?.split_once('.')?;
        Some(StepAt { job, step: step.parse().ok()?, attempt: attempt.parse().ok()? })
    }
}
