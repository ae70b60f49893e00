//! Artifacts: files of the workspace that outlive the job, and back.
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use danube_shim::frame;
use danube_shim::transfer::{self, Item};
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::canonical::Canonical;
use super::error::chain;
use super::journal::{Entry, read};
use super::watching::persist;
use super::{CallError, LiveJob, bounds};
use crate::artifacts::{self, Digest, Kind, Name, Stored, Writer};
use crate::executor::ExecutorError;
use crate::model::JobId;
use crate::store::artifacts::{ArtifactKind, KeepWhen, NewArtifact};
use crate::store::{ArtifactRow, Durability, Tx, jobs};

/// What a danubefile wants to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Below the workspace.
    pub path: String,
    /// Unique in the job.
    pub name: String,
    /// The ends of the job at which it is kept.
    pub keep: KeepWhen,
    /// It is a subject of the provenance.
    pub provenance: bool,
}

impl Upload {
    /// Reads what an SDK sent; `when` is empty for the default.
    pub fn parse(path: String, name: String, when: &str, provenance: bool) -> Result<Self, CallError> {
        let keep = match when {
            "" => Some(KeepWhen::Success),
            word => KeepWhen::parse(word),
        };
        let keep = keep.ok_or_else(|| CallError::Invalid("when= is none of success, failure, always".to_owned()))?;
        Ok(Self { path, name, keep, provenance })
    }
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// SHA-256 of the stored bytes, taken by the server.
    pub sha256: String,
    /// Their number.
    pub size: u64,
}

impl LiveJob {
    /// Stores a file or folder of the workspace.
    pub async fn store_artifact(self: &Arc<Self>, call: Call, upload: Upload) -> Result<Kept, CallError> {
        bounds::path("the artifact's path", &upload.path)?;
        let name = Name::parse(&upload.name).map_err(|error| CallError::Invalid(error.to_string()))?;
        let canonical = Canonical::upload(&upload);
        self.link_artifact(&call).await?;
        if let Entry::Done(bytes) = self.enter(&call, &canonical, |_| Ok(())).await? {
            return read(&bytes);
        }
        let work = {
            let (job, call) = (Arc::clone(self), call.clone());
            async move { job.upload(&call, upload, name).await }
        };
        self.once(&call.key, work).await?;
        self.answered(&call).await
    }

    async fn upload(&self, call: &Call, upload: Upload, name: Name) -> Result<(), CallError> {
        if self.masks.redact(&upload.name) != upload.name {
            let shown = "the artifact's name contains the value of a secret: choose another name".to_owned();
            return self
                .record(call, self.written::<Kept>(Err(CallError::Invalid(shown)))?, |_| Ok(()))
                .await
                .map(drop);
        }
        let stored = match self.receive(&upload.path, name).await {
            Ok(stored) => stored,
            Err(error) => return self.record(call, self.written::<Kept>(Err(error))?, |_| Ok(())).await.map(drop),
        };
        let kept = Kept { name: upload.name, sha256: stored.sha256.to_string(), size: stored.size };
        if let Some(other) = self.artifact(self.row.id, &kept.name).await?
            && (other.sha256 != kept.sha256 || other.size != kept.size)
        {
            let clash = format!(
                "the job has stored another artifact '{}' already, with other content (SHA-256 {}): choose another name",
                kept.name, other.sha256
            );
            return self
                .record(call, self.written::<Kept>(Err(CallError::Invalid(clash)))?, |_| Ok(()))
                .await
                .map(drop);
        }
        let new = NewArtifact {
            job_id: self.row.id,
            name: kept.name.clone(),
            sha256: kept.sha256.clone(),
            size: kept.size,
            kind: if stored.kind == Kind::File { ArtifactKind::File } else { ArtifactKind::Dir },
            keep_when: upload.keep,
            provenance: upload.provenance,
        };
        let lease = self.lease.id;
        let insert = move |tx: &Tx<'_>| crate::store::artifacts::insert(tx, lease, &new).map(drop);
        self.record(call, self.written(Ok(kept))?, insert).await.map(drop)
    }

    /// Takes the bytes from the executor; they appear as a file only when all of them came.
    async fn receive(&self, path: &str, name: Name) -> Result<Stored, CallError> {
        let (source, sink) = pipe()?;
        let (dir, limit) = (self.engine.dirs.artifacts_of(self.row.id), self.engine.bounds.artifact_bytes);
        let receiving = tokio::task::spawn_blocking(move || take(&dir, limit, source));
        let exported = self.engine.executor.export(self.row.id, path.to_owned(), sink).await;
        let received = receiving.await.map_err(|error| CallError::Unavailable(error.to_string()))?;
        let (writer, kind) = match (exported, received) {
            (Ok(()), Ok(received)) => received,
            // Whoever stopped reading knows better why than who could not write any more.
            (_, Err(Taken::Own(CallError::Invalid(why)))) => return Err(CallError::Invalid(format!("{path}: {why}"))),
            (_, Err(Taken::Own(error))) => return Err(error),
            (Err(error), _) => return Err(of_executor(error)),
            (Ok(()), Err(Taken::Cut(why))) => return Err(CallError::Unavailable(why)),
        };
        let commit = tokio::task::spawn_blocking(move || writer.commit(name, kind)).await;
        commit.map_err(|error| CallError::Unavailable(error.to_string()))?.map_err(|error| of_artifacts(&error))
    }

    /// Puts an artifact of this job, or of an earlier one of its pipeline, into the workspace.
    pub async fn fetch_artifact(
        self: &Arc<Self>,
        call: Call,
        name: String,
        dest: String,
        job: String,
    ) -> Result<(), CallError> {
        bounds::name("the artifact's name", &name)?;
        bounds::path("dest=", &dest)?;
        bounds::name("job=", &job)?;
        let canonical = Canonical::download(&name, &dest, &job);
        if let Entry::Done(bytes) = self.enter(&call, &canonical, |_| Ok(())).await? {
            return read(&bytes);
        }
        let work = {
            let (this, call) = (Arc::clone(self), call.clone());
            async move {
                let done = this.download(&name, dest, &job).await;
                this.record(&call, this.written(done)?, |_| Ok(())).await.map(drop)
            }
        };
        self.once(&call.key, work).await?;
        self.answered(&call).await
    }

    async fn download(&self, name: &str, dest: String, job: &str) -> Result<(), CallError> {
        let from = self.readable_job(job).await?;
        let row = self.artifact(from, name).await?.filter(|row| row.expired_at.is_none()).ok_or_else(|| {
            CallError::NotFound(format!("the job has no artifact '{name}', or it has passed its retention"))
        })?;
        let digest: Digest = row.sha256.parse().map_err(|error| CallError::Unavailable(chain(&error)))?;
        let dir = self.engine.dirs.artifacts_of(from);
        persist(&self.engine, || async {
            let (source, sink) = pipe().map_err(|error| ExecutorError::OutOfSpace(error.to_string()))?;
            let (dir, row) = (dir.clone(), row.clone());
            let sending = tokio::task::spawn_blocking(move || give(&dir, &digest, &row, sink));
            let imported = self.engine.executor.import(self.row.id, dest.clone(), source).await;
            let sent = sending.await;
            imported?;
            match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(ExecutorError::User(format!("the artifact could not be read: {error}"))),
                Err(error) => Err(ExecutorError::Start(error.to_string())),
            }
        })
        .await
        .map_err(of_executor)
    }

    /// A job whose artifacts this one may read: itself, and others of its pipeline.
    async fn readable_job(&self, job: &str) -> Result<JobId, CallError> {
        if job.is_empty() {
            return Ok(self.row.id);
        }
        let unknown = || CallError::NotFound(format!("the pipeline '{}' has no job '{job}'", self.row.pipeline_name));
        let id: JobId = job.parse().map_err(|_| unknown())?;
        let found = self.engine.store.read(move |view| jobs::find(view, id)).await?;
        // A job of another pipeline is as unknown as one that does not exist.
        found.filter(|other| other.pipeline_id == self.row.pipeline_id).map(|other| other.id).ok_or_else(unknown)
    }

    async fn artifact(&self, job: JobId, name: &str) -> Result<Option<ArtifactRow>, CallError> {
        let name = name.to_owned();
        Ok(self.engine.store.read(move |view| crate::store::artifacts::find(view, job, &name)).await?)
    }
}

impl super::Engine {
    /// Removes what a job stored for another end than the one it had. The bytes stay while the workspace does
    /// (`workspace`): a rerun may go on from there, and end otherwise.
    pub(super) async fn discard_artifacts(
        &self,
        job: JobId,
        good: bool,
        workspace: bool,
    ) -> Result<(), super::DriveError> {
        let kept = if good { KeepWhen::Success } else { KeepWhen::Failure };
        self.store
            .write("orchestrator.discard_artifacts", Durability::Progress, move |tx| {
                let rows = crate::store::artifacts::of_job(tx, job)?;
                let live = rows.into_iter().filter(|row| row.expired_at.is_none());
                let stays = |row: &ArtifactRow| row.keep_when == KeepWhen::Always || row.keep_when == kept;
                let mut going = live.filter(|row| !stays(row));
                going.try_for_each(|row| crate::store::artifacts::mark_expired(tx, row.id))
            })
            .await?;
        self.sweep_artifacts(job, workspace).await
    }

    /// Removes the files of a job that no row of its own needs, also what was received and then refused, because its
    /// name was taken.
    pub(super) async fn sweep_artifacts(&self, job: JobId, workspace: bool) -> Result<(), super::DriveError> {
        let rows = self.store.read(move |view| crate::store::artifacts::of_job(view, job)).await?;
        let needed =
            |sha256: &str| rows.iter().any(|row| row.sha256 == sha256 && (workspace || row.expired_at.is_none()));
        let dir = self.dirs.artifacts_of(job);
        for file in artifacts::list(&dir)? {
            if !needed(&file.sha256.to_string()) {
                artifacts::remove(&dir, &file.sha256)?;
            }
        }
        Ok(())
    }
}

/// Why an artifact was not taken in.
enum Taken {
    /// The bytes stopped coming.
    Cut(String),
    /// They could not be kept.
    Own(CallError),
}

/// Reads what the executor exports into a file of the job's artifacts.
fn take(dir: &Path, limit: u64, mut source: File) -> Result<(Writer, Kind), Taken> {
    let cut = |error: &dyn std::error::Error| Taken::Cut(format!("the export broke off: {}", chain(error)));
    let own = |error: artifacts::Error| Taken::Own(of_artifacts(&error));
    let header: Item = frame::read(&mut source, frame::HEADER_LIMIT).map_err(|error| cut(&error))?;
    let mut writer = artifacts::begin(dir, limit).map_err(own)?;
    let mut counted = Counted { from: source, bytes: 0 };
    writer.copy_from(&mut counted).map_err(own)?;
    if header.size.is_some_and(|size| size != counted.bytes) {
        return Err(Taken::Cut("the export broke off before its end".to_owned()));
    }
    let kind = match header.kind {
        transfer::Kind::File => Kind::File,
        transfer::Kind::Dir => Kind::Tar,
    };
    Ok((writer, kind))
}

/// Writes a stored file into a pipe as the executor imports it.
fn give(dir: &Path, digest: &Digest, row: &ArtifactRow, mut sink: File) -> io::Result<()> {
    let mut bytes = artifacts::open_range(dir, digest, 0..row.size).map_err(|error| io::Error::other(chain(&error)))?;
    let kind = match row.kind {
        ArtifactKind::File => transfer::Kind::File,
        ArtifactKind::Dir => transfer::Kind::Dir,
    };
    let header = Item { version: transfer::VERSION, kind, name: row.name.clone(), size: Some(row.size) };
    sink.write_all(&frame::encode(&header).map_err(io::Error::other)?)?;
    match io::copy(&mut bytes, &mut sink) {
        // Who stopped reading says why.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map(drop),
    }
}

struct Counted {
    from: File,
    bytes: u64,
}

impl io::Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        self.bytes += n as u64;
        Ok(n)
    }
}

pub(super) fn pipe() -> Result<(File, File), CallError> {
    let made = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let (source, sink) = made.map_err(|error| CallError::Unavailable(format!("no pipe could be made: {error}")))?;
    Ok((source.into(), sink.into()))
}

pub(super) fn of_executor(error: ExecutorError) -> CallError {
    match error {
        ExecutorError::User(text) if text.contains("no such file") => CallError::NotFound(text),
        error @ (ExecutorError::User(_) | ExecutorError::PolicyDenied(_) | ExecutorError::OutOfSpace(_)) => {
            CallError::Invalid(error.to_string())
        }
        error => CallError::Unavailable(error.to_string()),
    }
}

fn of_artifacts(error: &artifacts::Error) -> CallError {
    match error {
        artifacts::Error::Io { .. } | artifacts::Error::Incomplete => CallError::Unavailable(chain(error)),
        error => CallError::Invalid(chain(error)),
    }
}
