//! Runs containers for the master: one trait, two ways (`local` now, `kubernetes` beside it).
//!
//! Owns: workspaces, containers, their limits and isolation. May use: model, platform, the shim's
//! contract. Must not touch: SQL, pipelines, users. Nothing outside this room knows containers.
//!
//! `remote` is the border of privileges: the master holds a `remote::Client`, the privileged process
//! (`danube executor`) serves the same verbs from `local`. Data crosses as file descriptors.

mod error;
pub mod local;
pub mod remote;
mod spec;

use std::fs::File;

use futures::future::BoxFuture;

pub use error::ExecutorError;
pub use spec::{
    FileSpec, Full, JobPlace, JobSpec, Limits, Mask, Probe, Root, Signal, SpaceLimit, StepAt, StepEnd, StepKind,
    StepSpec, StepState, inodes_of,
};

use crate::model::JobId;

/// An executor. Every verb is idempotent: a restarted master says the same again and meets its own work.
pub trait Executor: Send + Sync + 'static {
    /// What it can do here, and what it can't enforce.
    fn probe(&self) -> BoxFuture<'_, Result<Probe, ExecutorError>>;

    /// Makes the job's workspace and the coordinator's checkout from `source`: a
    /// `danube_shim::transfer::Checkout` header with its pack and tar behind it, read from its start.
    /// Answers at once where the job stands already.
    fn ensure_job(&self, spec: JobSpec, source: File) -> BoxFuture<'_, Result<JobPlace, ExecutorError>>;

    /// Starts a step attempt unless it was started before; `log` and `index` are append-only files
    /// of the master. Durable when it answers: the attempt is then never started a second time.
    fn ensure_step(
        &self,
        at: StepAt,
        spec: StepSpec,
        log: File,
        index: File,
    ) -> BoxFuture<'_, Result<(), ExecutorError>>;

    /// Waits until the attempt has ended, or is known to be lost or never started.
    fn observe(&self, at: StepAt) -> BoxFuture<'_, Result<StepState, ExecutorError>>;

    /// Asks the attempt's process tree to end, or ends it. Well where it has ended already.
    fn signal(&self, at: StepAt, signal: Signal) -> BoxFuture<'_, Result<(), ExecutorError>>;

    /// Redacts further values in every live attempt of the job; acknowledged by each before it answers.
    fn add_mask(&self, job: JobId, masks: Vec<Mask>) -> BoxFuture<'_, Result<(), ExecutorError>>;

    /// What a step with `capture_secret` wrote, at most 64 KiB.
    fn captured(&self, at: StepAt) -> BoxFuture<'_, Result<crate::model::Secret<Vec<u8>>, ExecutorError>>;

    /// Streams a file or directory of the workspace into `sink` (a pipe): a
    /// `danube_shim::transfer::Item` header, then its bytes. Answers when all was written.
    fn export(&self, job: JobId, path: String, sink: File) -> BoxFuture<'_, Result<(), ExecutorError>>;

    /// Streams every file of the workspace that a pattern names into `sink` (a pipe), sorted: for each a header
    /// with its path, then its bytes. At least one; links are not followed.
    fn collect(&self, job: JobId, pattern: String, sink: File) -> BoxFuture<'_, Result<(), ExecutorError>>;

    /// Writes what `source` streams (the same form) below `dest` in the workspace.
    fn import(&self, job: JobId, dest: String, source: File) -> BoxFuture<'_, Result<(), ExecutorError>>;

    /// Ends and removes everything of a job but its workspace, for [`JobSpec::adopt`] of a later one; gives the bytes
    /// that it takes on disk. `None`: there was none that is worth keeping, and nothing of the job is left. A kept
    /// workspace outlives the executor and the machine, and goes with `teardown`.
    fn keep(&self, job: JobId) -> BoxFuture<'_, Result<Option<u64>, ExecutorError>>;

    /// The jobs that have anything here, a kept workspace among it.
    fn list(&self) -> BoxFuture<'_, Result<Vec<JobId>, ExecutorError>>;

    /// Ends and removes everything of a job. Well where nothing is left.
    fn teardown(&self, job: JobId) -> BoxFuture<'_, Result<(), ExecutorError>>;
}
