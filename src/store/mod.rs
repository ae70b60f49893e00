//! The store: everything that must survive, in one SQLite file.
//!
//! Owns: the schema, every line of SQL (one file per table), the one writer thread, the read pool,
//! the wake-ups after commits. May use: model, platform. Must not touch: choices of the product, HTTP.
//!
//! `Store::write` hands a `Tx`, `Store::read` a `View`; the functions of the tables take these, so
//! that one transaction is one event of the product. A `Tx` reads like a `View`. Functions named
//! `get…` must find their row, `find…` may not.

mod changes;
mod error;
mod open;
mod readers;
mod sql;
mod view;
mod writer;

pub mod annotations;
pub mod apply;
pub mod artifacts;
pub mod attestations;
pub mod audit_log;
pub mod cache_uses;
pub mod caches;
pub mod census;
pub mod config_commits;
pub mod cron_ticks;
pub mod deliveries;
pub mod egress;
pub mod job_heads;
pub mod job_images;
pub mod job_limits;
pub mod job_list;
pub(crate) mod job_moves;
pub mod job_past;
pub mod job_secrets;
pub mod jobs;
pub mod journal;
pub mod kept_workspaces;
pub mod login_links;
pub mod outbox;
pub mod pipelines;
pub mod registry;
pub mod secrets;
pub mod sessions;
pub mod settings;
pub mod steps;
pub mod teams;
pub mod test_history;
pub mod test_reports;
mod test_verdicts;
pub mod tokens;
pub mod users;

pub use artifacts::ArtifactRow;
pub use caches::CacheRow;
pub use changes::Field;
pub use error::StoreError;
pub use job_heads::JobHead;
pub use jobs::JobRow;
pub use journal::JournalRow;
pub use steps::StepRow;
pub use view::{Tx, View};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;

use crate::platform::{Clock, Ids};
use readers::Readers;

/// What a committed write must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Power loss: for what somebody was told (a delivery, an answered request, a terminal state).
    Acknowledged,
    /// `kill -9`: for progress that can be found out again.
    Progress,
}

/// The open database. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    // Closed before the writer: the last to close removes the write-ahead log, and one that only reads can't.
    readers: Readers,
    writer: mpsc::Sender<writer::Write>,
    permits: Arc<Semaphore>,
    changes: watch::Sender<u64>,
    clock: Arc<dyn Clock>,
}

impl Store {
    /// Opens `<dir>/danube.db`, makes it where it is missing, and brings its schema up to date.
    ///
    /// A database that needs a newer reader is refused before anything is written.
    pub fn open(dir: &Path, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Result<Self, StoreError> {
        let path = dir.join("danube.db");
        open::check_version(&path)?;
        let conn = open::writer(&path)?;
        let changes = watch::Sender::new(0);
        let writer = writer::start(conn, Arc::clone(&clock), ids, changes.clone())?;
        let readers = Readers::new(path.clone());
        let permits = Arc::new(Semaphore::new(readers::READERS));
        Ok(Self { inner: Arc::new(Inner { path, writer, readers, permits, changes, clock }) })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The clock of every write.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Commits what `f` writes, or nothing of it where `f` fails. Answers after the commit.
    ///
    /// `point` is the name of this place's fault point, `room.what`.
    ///
    /// A dropped future withdraws the interest in the answer, not the write.
    pub async fn write<T, F>(&self, point: &'static str, durability: Durability, f: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let (write, answer) = writer::pack(point, durability, f);
        self.inner.writer.send(write).await.map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)?
    }

    /// `write` for the command line; never from an async thread.
    pub fn write_blocking<T, F>(&self, point: &'static str, durability: Durability, f: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let (write, answer) = writer::pack(point, durability, f);
        self.inner.writer.blocking_send(write).map_err(|_| StoreError::Stopped)?;
        answer.blocking_recv().map_err(|_| StoreError::Stopped)?
    }

    /// Reads on a blocking thread; all that `f` reads belongs to one moment.
    pub async fn read<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        F: FnOnce(&View<'_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let begin = move |permit: OwnedSemaphorePermit| {
            spawn_blocking(move || {
                let result = inner.readers.view(f);
                drop(permit);
                result
            })
        };
        let permits = Arc::clone(&self.inner.permits);
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            // Waits in a task of its own: a permit that came to a future which nobody polls just then would be kept
            // from all others, and the one who should poll it may be among them.
            let waiting = tokio::spawn(async move {
                let permit = permits.acquire_owned().await.map_err(|_| StoreError::Stopped)?;
                begin(permit).await.map_err(|_| StoreError::Stopped)?
            });
            return AbortOnDropHandle::new(waiting).await.map_err(|_| StoreError::Stopped)?;
        };
        let read = begin(permit);
        read.await.map_err(|_| StoreError::Stopped)?
    }

    /// `read` for the command line; never from an async thread.
    pub fn read_blocking<T>(&self, f: impl FnOnce(&View<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.inner.readers.view(f)
    }

    /// Moves on after every commit: register first, then look at the state, then wait.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
