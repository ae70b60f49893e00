//! Runs containers for the master: one trait, two ways (`local` now, `kubernetes` beside it).
//!
//! Owns: workspaces, containers, their limits and isolation. May use: model, platform, the shim's
//! contract. Must not touch: SQL, pipelines, users. Nothing outside this room knows containers.
//!
//! `remote` is the border of privileges: the master holds a `remote::Client`, the privileged process
//! (`danube executor`) serves the same verbs from `local`. Data crosses as file descriptors.

mod caches;
mod error;
mod image;
pub mod local;
pub mod remote;
mod spec;
pub mod unpack;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use futures::future::BoxFuture;

pub use caches::{CacheBlob, CacheFill, CacheFilled, CacheMount, CachePlace, CacheRoot, CacheTake, CacheTaken};
pub use error::ExecutorError;
pub use image::{KeepLayers, Pinned, StoredLayer};
pub use spec::{
    FileSpec, Full, HostEntry, JobPlace, JobSpec, Limits, Mask, Probe, ReadyCheck, Root, ServiceNet, Signal, Space,
    SpaceLimit, StepAt, StepEnd, StepKind, StepSpec, StepState, Transport, inodes_of,
};

pub use crate::model::image::Layer;

use crate::model::JobId;

/// An executor. Every verb is idempotent: a restarted master says the same again and meets its own work.
pub trait Executor: Send + Sync + 'static {
    /// What it can do here, and what it can't enforce.
    fn probe(&self) -> BoxFuture<'_, Result<Probe, ExecutorError>>;

    /// Makes the job's workspace and the coordinator's checkout from `source`: a
    /// `danube_shim::transfer::Checkout` header with its pack and tar behind it, read from its start.
    /// Answers at once where the job stands already.
    fn ensure_job(&self, spec: JobSpec, source: File) -> BoxFuture<'_, Result<JobPlace, ExecutorError>>;

    /// Notes that the job needs these layers of images, so that none is removed before the job is; gives those that
    /// are not there yet.
    fn hold_layers(&self, job: JobId, layers: Vec<String>) -> BoxFuture<'_, Result<Vec<String>, ExecutorError>>;

    /// Unpacks a layer from what `source` (a pipe) gives, also where it is there: it went well only where all of the
    /// layer came. Answers when it can be used.
    fn add_layer(&self, layer: Layer, source: File) -> BoxFuture<'_, Result<(), ExecutorError>>;

    /// The layers that are here, the one that was used last at the end.
    fn layers(&self) -> BoxFuture<'_, Result<Vec<StoredLayer>, ExecutorError>>;

    /// Removes layers that no job needs, as far as they are beyond these bounds; gives those that went.
    fn evict_layers(&self, keep: KeepLayers) -> BoxFuture<'_, Result<Vec<StoredLayer>, ExecutorError>>;

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

    /// Writes a line of danube's own into the log of an attempt that lives; nothing where it has ended.
    fn note(&self, at: StepAt, line: String) -> BoxFuture<'_, Result<(), ExecutorError>> {
        let _ = (at, line);
        Box::pin(async { Ok(()) })
    }

    /// Makes the job's open network, with its filter; `linked`: and a link to the world behind that.
    fn connect(&self, job: JobId, linked: bool) -> BoxFuture<'_, Result<(), ExecutorError>> {
        let _ = (job, linked);
        no_network()
    }

    /// A socket that listens in a network of the job, which is made where it is missing (without a link). The same
    /// socket when asked again: a copy stays with the executor, so questions wait while a master restarts.
    fn listen(
        &self,
        job: JobId,
        space: Space,
        transport: Transport,
        at: SocketAddrV4,
    ) -> BoxFuture<'_, Result<OwnedFd, ExecutorError>> {
        let _ = (job, space, transport, at);
        no_network()
    }

    /// Nobody needs that socket any more.
    fn unlisten(
        &self,
        job: JobId,
        space: Space,
        transport: Transport,
        at: SocketAddrV4,
    ) -> BoxFuture<'_, Result<(), ExecutorError>> {
        let _ = (job, space, transport, at);
        Box::pin(async { Ok(()) })
    }

    /// Lets what is in the job's open network speak to addresses for some seconds; in force when it answers.
    /// `PolicyDenied`, and nothing allowed, where one is an address that no job may reach.
    fn allow(&self, job: JobId, addresses: Vec<Ipv4Addr>, seconds: u32) -> BoxFuture<'_, Result<(), ExecutorError>> {
        let _ = (job, addresses, seconds);
        no_network()
    }

    /// Makes the network of the job's service of this number, linked to the job's open one.
    fn attach_service(&self, job: JobId, number: u8) -> BoxFuture<'_, Result<ServiceNet, ExecutorError>> {
        let _ = (job, number);
        no_network()
    }

    /// Waits until a service answers. False: it has ended, or was never started.
    fn ready(&self, at: StepAt) -> BoxFuture<'_, Result<bool, ExecutorError>> {
        let _ = at;
        Box::pin(async { Ok(false) })
    }

    /// Removes the network of a service that has ended; well where there is none.
    fn detach_service(&self, job: JobId, number: u8) -> BoxFuture<'_, Result<(), ExecutorError>> {
        let _ = (job, number);
        Box::pin(async { Ok(()) })
    }

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

    /// Fills a cache of a job before a step that names it, once for the job; its directories stand afterwards in any
    /// case, unless this fails.
    fn cache_restore(&self, job: JobId, fill: CacheFill) -> BoxFuture<'_, Result<CacheFilled, ExecutorError>>;

    /// Stores what is in a cache of a job by its digest. What was restored or stored is not stored again.
    fn cache_save(&self, job: JobId, take: CacheTake) -> BoxFuture<'_, Result<CacheTaken, ExecutorError>>;

    /// All stored content of caches.
    fn cache_list(&self) -> BoxFuture<'_, Result<Vec<CacheBlob>, ExecutorError>>;

    /// Removes stored content. Well where it is not there.
    fn cache_remove(&self, digests: Vec<String>) -> BoxFuture<'_, Result<(), ExecutorError>>;

    /// Ends and removes everything of a job but its workspace, for [`JobSpec::adopt`] of a later one; gives the bytes
    /// that it takes on disk. `None`: there was none that is worth keeping, and nothing of the job is left. A kept
    /// workspace outlives the executor and the machine, and goes with `teardown`.
    fn keep(&self, job: JobId) -> BoxFuture<'_, Result<Option<u64>, ExecutorError>>;

    /// The jobs that have anything here, a kept workspace among it.
    fn list(&self) -> BoxFuture<'_, Result<Vec<JobId>, ExecutorError>>;

    /// Ends and removes everything of a job. Well where nothing is left.
    fn teardown(&self, job: JobId) -> BoxFuture<'_, Result<(), ExecutorError>>;
}

/// The answer of an executor without networks of its own.
fn no_network<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, ExecutorError>> {
    Box::pin(async { Err(ExecutorError::PolicyDenied("this executor makes no networks".to_owned())) })
}
