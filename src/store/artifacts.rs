//! artifacts: what a job keeps. The rows stay when the files expire.
use jiff::Timestamp;
use rusqlite::{named_params, params};

use super::sql::{int, micros, row, words};
use super::{StoreError, Tx, View};
use crate::model::{ArtifactId, JobId, LeaseId};

words! {
    /// What was uploaded.
    pub enum ArtifactKind = "kind of artifact" {
        /// One file.
        File = "file",
        /// A directory, stored as a canonical tar.
        Dir = "dir",
    }
}

words! {
    /// For which end of the job an artifact is kept.
    pub enum KeepWhen = "condition of an artifact" {
        /// A good end alone.
        Success = "success",
        /// Any other end.
        Failure = "failure",
        /// Every end.
        Always = "always",
    }
}

row! {
    /// An artifact.
    pub struct ArtifactRow {
        /// Its id.
        pub id: ArtifactId,
        /// Its job.
        pub job_id: JobId,
        /// Its name, unique in the job.
        pub name: String,
        /// Lower-case hex of the stored bytes, taken by the server.
        pub sha256: String,
        /// Stored bytes.
        pub size: u64,
        /// File or directory.
        pub kind: ArtifactKind,
        /// For which end it is kept.
        pub keep_when: KeepWhen,
        /// It is a subject of the attestation.
        pub provenance: bool,
        /// When it was stored.
        pub stored_at: Timestamp,
        /// When its file was deleted.
        pub expired_at: Option<Timestamp>,
    }
}

/// What is recorded of an upload.
#[derive(Debug, Clone)]
pub struct NewArtifact {
    /// Its job.
    pub job_id: JobId,
    /// Its name.
    pub name: String,
    /// Lower-case hex of the stored bytes.
    pub sha256: String,
    /// Stored bytes.
    pub size: u64,
    /// File or directory.
    pub kind: ArtifactKind,
    /// For which end it is kept.
    pub keep_when: KeepWhen,
    /// It is a subject of the attestation.
    pub provenance: bool,
}

/// Records an artifact. The same bytes under the same name again are the same artifact; others are a `Conflict`.
pub fn insert(tx: &Tx<'_>, lease: LeaseId, new: &NewArtifact) -> Result<ArtifactRow, StoreError> {
    if let Some(known) = find(tx, new.job_id, &new.name)? {
        if known.sha256 == new.sha256 && known.size == new.size {
            return Ok(known);
        }
        return Err(StoreError::Conflict {
            what: format!("store the artifact '{}'", new.name),
            why: "the job has an artifact of that name with other content; choose another name".to_owned(),
        });
    }
    let row = tx.first(
        "record an artifact",
        "INSERT INTO artifacts (id, job_id, name, sha256, size, kind, keep_when, provenance, stored_at)
         SELECT :id, jobs.id, :name, :sha256, :size, :kind, :keep_when, :provenance, :now
         FROM jobs WHERE jobs.id = :job AND jobs.lease_id = :lease AND jobs.status = 'running'
         RETURNING *",
        named_params! {
            ":id": ArtifactId::from_uuid(tx.uuid()),
            ":job": new.job_id,
            ":lease": lease,
            ":name": new.name,
            ":sha256": new.sha256,
            ":size": int(new.size),
            ":kind": new.kind,
            ":keep_when": new.keep_when,
            ":provenance": new.provenance,
            ":now": micros(tx.now()),
        },
    )?;
    row.ok_or_else(|| StoreError::not_found(format!("running job {} under lease {lease}", new.job_id)))
}

/// The artifact of that name, if the job has it.
pub fn find(view: &View<'_>, job: JobId, name: &str) -> Result<Option<ArtifactRow>, StoreError> {
    view.first("read an artifact", "SELECT * FROM artifacts WHERE job_id = ?1 AND name = ?2", params![job, name])
}

/// Every artifact of a job, by name.
pub fn of_job(view: &View<'_>, job: JobId) -> Result<Vec<ArtifactRow>, StoreError> {
    view.all("read the artifacts of a job", "SELECT * FROM artifacts WHERE job_id = ?1 ORDER BY name", [job])
}

/// Makes an artifact of the parent the rerun's too; its file must be there already. False: the parent has none of it.
pub fn take_over(tx: &Tx<'_>, lease: LeaseId, parent: JobId, job: JobId, name: &str) -> Result<bool, StoreError> {
    let rows = tx.run(
        "take over an artifact",
        "INSERT INTO artifacts (id, job_id, name, sha256, size, kind, keep_when, provenance, stored_at)
         SELECT ?1, jobs.id, old.name, old.sha256, old.size, old.kind, old.keep_when, old.provenance, ?6
         FROM artifacts AS old JOIN jobs ON jobs.id = ?3
         WHERE old.job_id = ?2 AND old.name = ?5 AND jobs.lease_id = ?4 AND jobs.status = 'running'
         ON CONFLICT (job_id, name) DO NOTHING",
        params![ArtifactId::from_uuid(tx.uuid()), parent, job, lease, name, micros(tx.now())],
    )?;
    Ok(rows == 1)
}

/// Artifacts of a job by name, from behind a name on; the first page begins behind the empty one.
pub fn page(view: &View<'_>, job: JobId, after: &str, limit: u32) -> Result<Vec<ArtifactRow>, StoreError> {
    view.all(
        "list the artifacts of a job",
        "SELECT * FROM artifacts WHERE job_id = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
        params![job, after, limit],
    )
}

/// Forgets what a lost attempt stored: the next one starts from nothing and may store other bytes. The
/// files go with the job's directory, or serve again where the bytes are the same.
pub(crate) fn delete_of_job(tx: &Tx<'_>, job: JobId) -> Result<(), StoreError> {
    tx.run("delete the artifacts of a lost attempt", "DELETE FROM artifacts WHERE job_id = ?1", [job])?;
    Ok(())
}

/// Artifacts stored before a moment, of jobs that ended and have their record: what may expire.
pub fn expirable(view: &View<'_>, before: Timestamp, limit: u32) -> Result<Vec<ArtifactRow>, StoreError> {
    view.all(
        "read the old artifacts",
        "SELECT artifacts.* FROM artifacts JOIN jobs ON jobs.id = artifacts.job_id
         WHERE artifacts.expired_at IS NULL AND artifacts.stored_at < ?1
         AND jobs.finished_at IS NOT NULL AND jobs.recorded_at IS NOT NULL
         ORDER BY artifacts.stored_at LIMIT ?2",
        params![micros(before), limit],
    )
}

/// Notes that an artifact's file may go. Call before the file is deleted: a row never promises what is gone.
pub fn mark_expired(tx: &Tx<'_>, id: ArtifactId) -> Result<(), StoreError> {
    tx.run(
        "mark an artifact as expired",
        "UPDATE artifacts SET expired_at = ?2 WHERE id = ?1 AND expired_at IS NULL",
        params![id, micros(tx.now())],
    )?;
    Ok(())
}

/// Whether an unexpired artifact still needs the stored bytes of that digest.
pub fn is_needed(view: &View<'_>, sha256: &str) -> Result<bool, StoreError> {
    let one: Option<i64> = view.value(
        "see whether stored bytes are needed",
        "SELECT 1 FROM artifacts WHERE sha256 = ?1 AND expired_at IS NULL LIMIT 1",
        [sha256],
    )?;
    Ok(one.is_some())
}
