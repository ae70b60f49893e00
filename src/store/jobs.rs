//! jobs: one execution of a pipeline at one commit. Reads; only `queue` writes (`job_moves`).
use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::params;

use super::sql::{from_json, micros, row};
use super::{StoreError, Tx, View};
use crate::model::job::{FailureKind, Status};
use crate::model::settings::Pipeline;
use crate::model::trigger::{RepoEvent, Revision, Trigger};
use crate::model::{JobId, LeaseId, PipelineId};

row! {
    /// A job.
    pub struct JobRow {
        /// Its id.
        pub id: JobId,
        /// Its pipeline.
        pub pipeline_id: PipelineId,
        /// The pipeline's name.
        pub pipeline_name: String,
        /// Its number within the pipeline, from 1.
        pub number: u64,
        /// The team that owned the pipeline when the job was made.
        pub team: String,
        /// Why it exists.
        pub trigger: Trigger,
        /// What happened in the repository.
        pub event: Option<RepoEvent>,
        /// What exactly made it: a delivery id, a cron tick.
        pub origin: Option<String>,
        /// Who made it, for people.
        pub actor: String,
        /// The commit it builds.
        pub commit_sha: String,
        /// Its branch.
        pub branch: String,
        /// Its tag.
        pub tag: Option<String>,
        /// The commit's message.
        pub message: String,
        /// The commit's author.
        pub author: String,
        /// The pull request's number.
        pub pull_request: Option<u64>,
        /// The branch that the pull request is to be merged into.
        pub pr_base: Option<String>,
        /// The pull request comes from a fork: no secrets.
        pub fork: bool,
        /// Parameters of a manual start.
        pub params: BTreeMap<String, String>,
        /// The config commit in force when it was made.
        pub config_commit: String,
        /// JSON of the `Pipeline` as it then was; read it by `pipeline()`.
        pub snapshot: String,
        /// The name that the danubefile declares.
        pub title: Option<String>,
        /// The job that it runs again.
        pub parent: Option<JobId>,
        /// It goes on in the parent's workspace (rerun from failed).
        pub reuse: bool,
        /// Its concurrency group.
        pub group_key: Option<String>,
        /// Where it stands.
        pub status: Status,
        /// Whose fault the failure is.
        pub failure_kind: Option<FailureKind>,
        /// Why it ended, or why its last attempt was lost.
        pub reason: Option<String>,
        /// Attempts begun.
        pub attempt: u32,
        /// Attempts allowed.
        pub max_attempts: u32,
        /// When it was made.
        pub created_at: Timestamp,
        /// It does not start before.
        pub run_after: Timestamp,
        /// When its first attempt began.
        pub started_at: Option<Timestamp>,
        /// When it ended.
        pub finished_at: Option<Timestamp>,
        /// When this attempt's time is up.
        pub deadline: Option<Timestamp>,
        /// When somebody asked for its end.
        pub cancel_requested_at: Option<Timestamp>,
        /// Who did.
        pub cancel_requested_by: Option<String>,
        /// What it waits for, while it is parked.
        pub parked_reason: Option<String>,
        /// Since when.
        pub parked_since: Option<Timestamp>,
        /// The lease of the running attempt.
        pub lease_id: Option<LeaseId>,
        /// The master that holds it.
        pub lease_owner: Option<String>,
        /// When it would expire.
        pub lease_expires_at: Option<Timestamp>,
        /// When it was last renewed.
        pub heartbeat_at: Option<Timestamp>,
        /// When its attestation or job record was signed.
        pub recorded_at: Option<Timestamp>,
        /// When its log files were deleted.
        pub logs_expired_at: Option<Timestamp>,
    }
}

impl JobRow {
    /// How people name it: `pipeline#42`.
    pub fn label(&self) -> String {
        format!("{}#{}", self.pipeline_name, self.number)
    }

    /// The pipeline as it was when the job was made.
    pub fn pipeline(&self) -> Result<Pipeline, StoreError> {
        from_json(&format!("read the pipeline recorded with job {}", self.id), &self.snapshot)
    }

    /// The commit it builds.
    pub fn revision(&self) -> Revision {
        Revision {
            commit: self.commit_sha.clone(),
            branch: self.branch.clone(),
            tag: self.tag.clone(),
            message: self.message.clone(),
            author: self.author.clone(),
        }
    }
}

/// The job of that id.
pub fn get(view: &View<'_>, id: JobId) -> Result<JobRow, StoreError> {
    find(view, id)?.ok_or_else(|| StoreError::not_found(format!("job {id}")))
}

row! {
    /// When a running job is to end, and whether somebody said so.
    pub struct Told {
        /// When somebody asked for its end.
        pub cancel_requested_at: Option<Timestamp>,
        /// When it has to end.
        pub deadline: Option<Timestamp>,
    }
}

/// What a running job was told; looked at often.
pub fn told(view: &View<'_>, id: JobId) -> Result<Told, StoreError> {
    let what = "read when a job is to end";
    let told = view.first(what, "SELECT cancel_requested_at, deadline FROM jobs WHERE id = ?1", [id])?;
    told.ok_or_else(|| StoreError::not_found(format!("job {id}")))
}

/// The job of that id, if there is one.
pub fn find(view: &View<'_>, id: JobId) -> Result<Option<JobRow>, StoreError> {
    view.first("read a job", "SELECT * FROM jobs WHERE id = ?1", [id])
}

/// The job that people call `pipeline#number`.
pub fn find_by_number(view: &View<'_>, pipeline: &str, number: u64) -> Result<Option<JobRow>, StoreError> {
    view.first(
        "read a job",
        "SELECT jobs.* FROM jobs JOIN pipelines ON pipelines.id = jobs.pipeline_id
         WHERE pipelines.name = ?1 AND jobs.number = ?2",
        params![pipeline, super::sql::int(number)],
    )
}

/// The job that was made for a dedupe key.
pub fn find_by_dedupe_key(view: &View<'_>, key: &str) -> Result<Option<JobRow>, StoreError> {
    view.first("read a job", "SELECT * FROM jobs WHERE dedupe_key = ?1", [key])
}

/// The newest green job of a branch that was made before another: what "changed since" compares with. A pull
/// request's branch is not the branch, even if it is called the same.
pub fn find_last_green(
    view: &View<'_>,
    pipeline: PipelineId,
    branch: &str,
    before: JobId,
) -> Result<Option<JobRow>, StoreError> {
    view.first(
        "read the last green job",
        "SELECT * FROM jobs WHERE pipeline_id = ?1 AND branch = ?2 AND status = 'success' AND id < ?3
         AND pull_request IS NULL ORDER BY id DESC LIMIT 1",
        params![pipeline, branch, before],
    )
}

/// The job that a chain of reruns began with; the job itself, where it reruns none.
pub fn first_run(view: &View<'_>, id: JobId) -> Result<JobId, StoreError> {
    let first = view.value(
        "read the first of some reruns",
        "WITH RECURSIVE up (id, parent) AS (
            SELECT id, parent FROM jobs WHERE id = ?1
            UNION SELECT jobs.id, jobs.parent FROM jobs JOIN up ON jobs.id = up.parent)
         SELECT id FROM up ORDER BY id LIMIT 1",
        [id],
    )?;
    Ok(first.unwrap_or(id))
}

/// Jobs of a pull request that wait or run.
pub fn live_of_pull_request(view: &View<'_>, pipeline: PipelineId, number: u64) -> Result<Vec<JobRow>, StoreError> {
    view.all(
        "read the jobs of a pull request",
        "SELECT * FROM jobs WHERE pipeline_id = ?1 AND pull_request = ?2 AND status IN ('pending', 'running')
         ORDER BY id",
        params![pipeline, super::sql::int(number)],
    )
}

/// Every leased job.
pub fn running(view: &View<'_>) -> Result<Vec<JobRow>, StoreError> {
    view.all("read the running jobs", "SELECT * FROM jobs WHERE status = 'running' ORDER BY id", [])
}

/// Jobs that wait, oldest first.
pub fn pending(view: &View<'_>, limit: u32) -> Result<Vec<JobRow>, StoreError> {
    view.all(
        "read the pending jobs",
        "SELECT * FROM jobs WHERE status = 'pending' ORDER BY created_at, id LIMIT ?1",
        [limit],
    )
}

/// Finished jobs whose attestation or record is not signed yet, oldest first.
pub fn unrecorded(view: &View<'_>, limit: u32) -> Result<Vec<JobRow>, StoreError> {
    view.all(
        "read the finished jobs without a record",
        "SELECT * FROM jobs WHERE finished_at IS NOT NULL AND recorded_at IS NULL ORDER BY finished_at LIMIT ?1",
        [limit],
    )
}

/// Recorded jobs finished before a moment whose log files are still there.
pub fn with_old_logs(view: &View<'_>, before: Timestamp, limit: u32) -> Result<Vec<JobId>, StoreError> {
    view.values(
        "read the jobs with old logs",
        "SELECT id FROM jobs INDEXED BY jobs_with_logs
         WHERE finished_at < ?1 AND finished_at IS NOT NULL AND recorded_at IS NOT NULL AND logs_expired_at IS NULL
         ORDER BY finished_at LIMIT ?2",
        params![micros(before), limit],
    )
}

/// Notes that the log files of a job were deleted.
pub fn mark_logs_expired(tx: &Tx<'_>, id: JobId) -> Result<(), StoreError> {
    tx.run(
        "mark a job's logs as expired",
        "UPDATE jobs SET logs_expired_at = ?2 WHERE id = ?1 AND finished_at IS NOT NULL AND logs_expired_at IS NULL",
        params![id, micros(tx.now())],
    )?;
    Ok(())
}

/// Deletes the row of a recorded job finished before a moment, with everything that hangs on it. True: it is gone.
pub fn delete_finished(tx: &Tx<'_>, id: JobId, before: Timestamp) -> Result<bool, StoreError> {
    let rows = tx.run(
        "delete an old job",
        "DELETE FROM jobs WHERE id = ?1 AND finished_at < ?2 AND recorded_at IS NOT NULL",
        params![id, micros(before)],
    )?;
    Ok(rows == 1)
}

/// Recorded jobs finished before a moment, oldest first: what `jobs_days` may delete.
pub fn finished_before(view: &View<'_>, before: Timestamp, limit: u32) -> Result<Vec<JobId>, StoreError> {
    view.values(
        "read the old jobs",
        "SELECT id FROM jobs WHERE finished_at < ?1 AND finished_at IS NOT NULL AND recorded_at IS NOT NULL
         ORDER BY finished_at LIMIT ?2",
        params![micros(before), limit],
    )
}
