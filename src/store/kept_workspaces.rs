//! kept_workspaces: what became of the workspaces of jobs that ended without success.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::{int, micros, row, words};
use super::{StoreError, Tx, View};
use crate::model::{JobId, LeaseId};

words! {
    /// Why a workspace is not there.
    pub enum Gone = "reason why a workspace is gone" {
        /// Keeping is switched off.
        Off = "off",
        /// No step of the job had ended well.
        Nothing = "nothing",
        /// It could not be put away.
        Failed = "failed",
        /// It alone is larger than all that may be kept.
        Large = "large",
        /// Its time was up.
        Age = "age",
        /// Newer ones needed the room.
        Room = "room",
        /// A rerun went on in it.
        Taken = "taken",
        /// The machine does not have it any more.
        Missing = "missing",
    }
}

row! {
    /// The workspace of a job.
    pub struct KeptRow {
        /// Whose it was.
        pub job_id: JobId,
        /// What it takes on disk.
        pub bytes: u64,
        /// Since when it is kept.
        pub kept_at: Timestamp,
        /// Since when it is not there.
        pub gone_at: Option<Timestamp>,
        /// Why it is not there.
        pub gone_why: Option<Gone>,
        /// The job that goes on in it.
        pub taken_by: Option<JobId>,
    }
}

row! {
    /// A workspace that is there.
    pub struct HereRow {
        /// Whose it was.
        pub job_id: JobId,
        /// What it takes on disk.
        pub bytes: u64,
        /// Since when it is kept.
        pub kept_at: Timestamp,
        /// A rerun that has not ended waits for it.
        pub wanted: bool,
    }
}

/// What became of a job's workspace, if that is known.
pub fn find(view: &View<'_>, job: JobId) -> Result<Option<KeptRow>, StoreError> {
    view.first("read what became of a workspace", "SELECT * FROM kept_workspaces WHERE job_id = ?1", [job])
}

/// The workspaces that are there, oldest first.
pub fn here(view: &View<'_>) -> Result<Vec<HereRow>, StoreError> {
    view.all(
        "read the kept workspaces",
        "SELECT job_id, bytes, kept_at, EXISTS (SELECT 1 FROM jobs AS child WHERE child.parent = job_id
            AND child.reuse = 1 AND child.status IN ('pending', 'running')) AS wanted
         FROM kept_workspaces WHERE gone_at IS NULL ORDER BY kept_at, job_id",
        [],
    )
}

/// The jobs whose workspaces these ones have taken.
pub fn taken_by(view: &View<'_>, jobs: &[JobId]) -> Result<Vec<JobId>, StoreError> {
    let what = "read the taken workspaces";
    let jobs = super::sql::to_json(what, &jobs)?;
    view.values(what, "SELECT job_id FROM kept_workspaces WHERE taken_by IN (SELECT value FROM json_each(?1))", [jobs])
}

/// The rerun that has not ended and goes on in this job's workspace, or is to.
pub fn wanted_by(view: &View<'_>, job: JobId) -> Result<Option<JobId>, StoreError> {
    view.value(
        "read who waits for a workspace",
        "SELECT id FROM jobs WHERE parent = ?1 AND reuse = 1 AND status IN ('pending', 'running') LIMIT 1",
        [job],
    )
}

/// Notes what became of the workspace of a job that ends: kept, or why not. The first note stands.
pub fn note(tx: &Tx<'_>, lease: LeaseId, job: JobId, bytes: u64, gone: Option<Gone>) -> Result<(), StoreError> {
    let rows = tx.run(
        "note what became of a workspace",
        "INSERT INTO kept_workspaces (job_id, bytes, kept_at, gone_at, gone_why)
         SELECT id, ?3, ?4, CASE WHEN ?5 IS NULL THEN NULL ELSE ?4 END, ?5 FROM jobs
         WHERE id = ?1 AND lease_id = ?2 AND status = 'running'
         ON CONFLICT (job_id) DO NOTHING",
        params![job, lease, int(bytes), micros(tx.now()), gone],
    )?;
    if rows == 0 && find(tx, job)?.is_none() {
        return Err(StoreError::not_found(format!("running job {job} under lease {lease}")));
    }
    Ok(())
}

/// Gives a workspace to the rerun that goes on in it. False: it is not there; true again when said again.
pub fn take(tx: &Tx<'_>, lease: LeaseId, from: JobId, to: JobId) -> Result<bool, StoreError> {
    let rows = tx.run(
        "take a kept workspace",
        "UPDATE kept_workspaces SET gone_at = COALESCE(gone_at, ?4), gone_why = 'taken', taken_by = ?3
         WHERE job_id = ?1 AND (gone_at IS NULL OR taken_by = ?3)
         AND EXISTS (SELECT 1 FROM jobs WHERE id = ?3 AND lease_id = ?2 AND status = 'running')",
        params![from, lease, to, micros(tx.now())],
    )?;
    Ok(rows == 1)
}

/// Notes that a workspace is to go. Call before it is removed: a row never promises what is gone.
pub fn mark_gone(tx: &Tx<'_>, job: JobId, why: Gone) -> Result<(), StoreError> {
    tx.run(
        "note the end of a workspace",
        "UPDATE kept_workspaces SET gone_at = ?2, gone_why = ?3 WHERE job_id = ?1 AND gone_at IS NULL",
        params![job, micros(tx.now()), why],
    )?;
    Ok(())
}
