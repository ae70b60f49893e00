//! steps: one row is one attempt of one step. `seq` 0 is the coordinator.
use jiff::Timestamp;
use rusqlite::{named_params, params};

use super::sql::{int, micros, row, words};
use super::{StoreError, Tx, View};
use crate::model::step::{Cause, StepStatus};
use crate::model::{JobId, LeaseId, StepId};

words! {
    /// What kind of container a step is.
    pub enum StepKind = "kind of step" {
        /// A command on the workspace.
        Step = "step",
        /// Runs beside the steps of a branch.
        Service = "service",
    }
}

row! {
    /// An attempt of a step.
    pub struct StepRow {
        /// Its id.
        pub id: StepId,
        /// Its job.
        pub job_id: JobId,
        /// The job's attempt in which it ran, from 1.
        pub job_attempt: u32,
        /// Its place in the job, from 1; 0 is the coordinator. Retries share it.
        pub seq: u32,
        /// The attempt of the step, from 1.
        pub attempt: u32,
        /// The path of branches it belongs to; empty at the root.
        pub branch: String,
        /// The key of its call in the journal.
        pub key: String,
        /// Its name.
        pub name: String,
        /// Its image, as asked for.
        pub image: String,
        /// The image's digest, once it is known.
        pub image_digest: Option<String>,
        /// Its command, redacted.
        pub command: String,
        /// Where it stands.
        pub status: StepStatus,
        /// Why it ended.
        pub cause: Option<Cause>,
        /// Its exit code.
        pub exit_code: Option<i32>,
        /// The cause in words, where there is more to say.
        pub reason: Option<String>,
        /// Its failure does not fail the job.
        pub allow_failure: bool,
        /// The name of its log stream, `<seq>.<attempt>`.
        pub log_stream: String,
        /// The digest of the whole stream, once it ended.
        pub log_sha256: Option<String>,
        /// The length of the stream, once it ended.
        pub log_bytes: Option<u64>,
        /// When it was accepted.
        pub created_at: Timestamp,
        /// When its container started.
        pub started_at: Option<Timestamp>,
        /// When it ended.
        pub finished_at: Option<Timestamp>,
        /// The job whose attempt this was, where a rerun took it over; its log is that job's.
        pub reused_from: Option<JobId>,
        /// The same for people: `web#12`.
        pub reused_label: Option<String>,
        /// What kind of container it was.
        pub kind: StepKind,
        /// The number of a service within its job, from 0; free again when it has ended.
        pub service: Option<u32>,
    }
}

/// What is known of a step attempt when it is accepted.
#[derive(Debug, Clone)]
pub struct NewStep {
    /// Its job.
    pub job_id: JobId,
    /// The job's attempt.
    pub job_attempt: u32,
    /// Its place; none: the next free one.
    pub seq: Option<u32>,
    /// The attempt of the step, from 1.
    pub attempt: u32,
    /// The path of branches.
    pub branch: String,
    /// The key of its call.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Its command, redacted.
    pub command: String,
    /// Its failure does not fail the job.
    pub allow_failure: bool,
    /// What kind of container it is.
    pub kind: StepKind,
}

/// How a step attempt ended.
#[derive(Debug, Clone)]
pub struct StepEnd {
    /// A terminal status.
    pub status: StepStatus,
    /// Why.
    pub cause: Option<Cause>,
    /// The exit code.
    pub exit_code: Option<i32>,
    /// More words.
    pub reason: Option<String>,
    /// The digest of the log stream.
    pub log_sha256: Option<String>,
    /// The length of the log stream.
    pub log_bytes: Option<u64>,
    /// When it ended, by the exit record.
    pub finished_at: Timestamp,
}

/// The attempt of that id.
pub fn get(view: &View<'_>, id: StepId) -> Result<StepRow, StoreError> {
    let step = view.first("read a step", "SELECT * FROM steps WHERE id = ?1", [id])?;
    step.ok_or_else(|| StoreError::not_found(format!("step {id}")))
}

/// Every attempt of every step of a job, in order.
pub fn of_job(view: &View<'_>, job: JobId) -> Result<Vec<StepRow>, StoreError> {
    view.all("read the steps of a job", "SELECT * FROM steps WHERE job_id = ?1 ORDER BY seq, attempt", [job])
}

/// The attempts of one step.
pub fn attempts(view: &View<'_>, job: JobId, seq: u32) -> Result<Vec<StepRow>, StoreError> {
    view.all(
        "read the attempts of a step",
        "SELECT * FROM steps WHERE job_id = ?1 AND seq = ?2 ORDER BY attempt",
        params![job, seq],
    )
}

/// The newest attempt of a step.
pub fn find_last(view: &View<'_>, job: JobId, seq: u32) -> Result<Option<StepRow>, StoreError> {
    view.first(
        "read a step",
        "SELECT * FROM steps WHERE job_id = ?1 AND seq = ?2 ORDER BY attempt DESC LIMIT 1",
        params![job, seq],
    )
}

/// Accepts an attempt as pending. `LeaseLost` shows as `NotFound`: only the holder of the job's lease writes.
pub fn insert(tx: &Tx<'_>, lease: LeaseId, new: &NewStep) -> Result<StepRow, StoreError> {
    let what = "store a step";
    let id = StepId::from_uuid(tx.uuid());
    let step = tx.first(
        what,
        "INSERT INTO steps (id, job_id, job_attempt, seq, attempt, branch, key, name, image, command, status,
            allow_failure, log_stream, created_at, kind, service)
         SELECT :id, jobs.id, :job_attempt, place.seq, :attempt, :branch, :key, :name, :image, :command, 'pending',
            :allow_failure, place.seq || '.' || :attempt, :now, :kind,
            CASE :kind WHEN 'service' THEN (
                SELECT MIN(free.number) FROM (
                    SELECT 0 AS number
                    UNION ALL SELECT service + 1 FROM steps
                    WHERE job_id = :job_id AND job_attempt = :job_attempt AND service IS NOT NULL
                ) AS free
                WHERE NOT EXISTS (
                    SELECT 1 FROM steps AS taken
                    WHERE taken.job_id = :job_id AND taken.job_attempt = :job_attempt AND taken.service = free.number
                    AND taken.finished_at IS NULL)) END
         FROM jobs, (SELECT COALESCE(:seq, (SELECT MAX(seq) FROM steps WHERE job_id = :job_id) + 1, 1) AS seq) AS place
         WHERE jobs.id = :job_id AND jobs.lease_id = :lease AND jobs.status = 'running'
         RETURNING *",
        named_params! {
            ":id": id,
            ":job_id": new.job_id,
            ":lease": lease,
            ":job_attempt": new.job_attempt,
            ":seq": new.seq,
            ":attempt": new.attempt,
            ":branch": new.branch,
            ":key": new.key,
            ":name": new.name,
            ":image": new.image,
            ":command": new.command,
            ":allow_failure": new.allow_failure,
            ":now": micros(tx.now()),
            ":kind": new.kind,
        },
    )?;
    step.ok_or_else(|| not_leased(new.job_id, lease))
}

/// The place in a rerun of the step that a call makes: the one that it had in the parent, else one behind all of those.
pub fn place_in_rerun(view: &View<'_>, parent: JobId, job: JobId, key: &str) -> Result<Option<u32>, StoreError> {
    view.value(
        "find the place of a step in a rerun",
        "SELECT COALESCE(
            (SELECT seq FROM steps JOIN jobs ON jobs.id = steps.job_id
             WHERE steps.job_id = ?1 AND steps.key = ?3 AND steps.job_attempt = jobs.attempt LIMIT 1),
            MAX((SELECT COALESCE(MAX(seq), 0) FROM steps WHERE job_id = ?1),
                (SELECT COALESCE(MAX(seq), 0) FROM steps WHERE job_id = ?2)) + 1)",
        params![parent, job, key],
    )
}

/// Takes over the attempts of a step of the parent, as they ended: they are shown, and never run.
pub fn take_over(tx: &Tx<'_>, lease: LeaseId, parent: JobId, job: JobId, key: &str) -> Result<(), StoreError> {
    let what = "take over a step";
    let ids: Vec<StepId> = tx.values(
        what,
        "SELECT steps.id FROM steps JOIN jobs ON jobs.id = steps.job_id
         WHERE steps.job_id = ?1 AND steps.key = ?2 AND steps.job_attempt = jobs.attempt ORDER BY steps.attempt",
        params![parent, key],
    )?;
    for id in ids {
        let rows = tx.run(
            what,
            "INSERT INTO steps (id, job_id, job_attempt, seq, attempt, branch, key, name, image, image_digest, command,
                status, cause, exit_code, reason, allow_failure, log_stream, log_sha256, log_bytes, created_at,
                started_at, finished_at, kind, reused_from, reused_label)
             SELECT ?1, rerun.id, rerun.attempt, old.seq, old.attempt, old.branch, old.key, old.name, old.image,
                old.image_digest, old.command, old.status, old.cause, old.exit_code, old.reason, old.allow_failure,
                old.log_stream, old.log_sha256, old.log_bytes, old.created_at, old.started_at, old.finished_at, old.kind,
                COALESCE(old.reused_from, old.job_id),
                COALESCE(old.reused_label, parent.pipeline_name || '#' || parent.number)
             FROM steps AS old JOIN jobs AS parent ON parent.id = old.job_id JOIN jobs AS rerun ON rerun.id = ?3
             WHERE old.id = ?2 AND rerun.lease_id = ?4 AND rerun.status = 'running'",
            params![StepId::from_uuid(tx.uuid()), id, job, lease],
        )?;
        if rows != 1 {
            return Err(not_leased(job, lease));
        }
    }
    Ok(())
}

/// Notes what an attempt waits for before its container runs; nothing of it stays.
pub fn wait_for(tx: &Tx<'_>, lease: LeaseId, id: StepId, what: &str) -> Result<(), StoreError> {
    tx.run(
        "note what a step waits for",
        "UPDATE steps SET reason = ?3 WHERE id = ?1 AND started_at IS NULL AND finished_at IS NULL
         AND EXISTS (SELECT 1 FROM jobs WHERE jobs.id = steps.job_id AND jobs.lease_id = ?2)",
        params![id, lease, what],
    )?;
    Ok(())
}

/// Notes that the container of an attempt runs.
pub fn start(tx: &Tx<'_>, lease: LeaseId, id: StepId, at: Timestamp, digest: Option<&str>) -> Result<(), StoreError> {
    let rows = tx.run(
        "note the start of a step",
        "UPDATE steps SET status = 'running', started_at = ?3, reason = NULL, image_digest = COALESCE(?4, image_digest)
         WHERE id = ?1 AND status IN ('pending', 'running')
         AND EXISTS (SELECT 1 FROM jobs WHERE jobs.id = steps.job_id AND jobs.lease_id = ?2)",
        params![id, lease, micros(at), digest],
    )?;
    if rows == 1 { Ok(()) } else { Err(StoreError::not_found(format!("open step {id} under lease {lease}"))) }
}

/// Notes how an attempt ended. An end that was noted before stays as it is.
pub fn finish(tx: &Tx<'_>, lease: LeaseId, id: StepId, end: &StepEnd) -> Result<(), StoreError> {
    let what = "note the end of a step";
    let rows = tx.run(
        what,
        "UPDATE steps SET
            status = CASE WHEN finished_at IS NULL THEN ?3 ELSE status END,
            cause = CASE WHEN finished_at IS NULL THEN ?4 ELSE cause END,
            exit_code = CASE WHEN finished_at IS NULL THEN ?5 ELSE exit_code END,
            reason = CASE WHEN finished_at IS NULL THEN ?6 ELSE reason END,
            log_sha256 = COALESCE(log_sha256, ?7), log_bytes = COALESCE(log_bytes, ?8),
            finished_at = COALESCE(finished_at, ?9)
         WHERE id = ?1 AND EXISTS (SELECT 1 FROM jobs WHERE jobs.id = steps.job_id AND jobs.lease_id = ?2)",
        params![
            id,
            lease,
            end.status,
            end.cause,
            end.exit_code,
            end.reason,
            end.log_sha256,
            end.log_bytes.map(int),
            micros(end.finished_at),
        ],
    )?;
    if rows == 1 { Ok(()) } else { Err(StoreError::not_found(format!("step {id} under lease {lease}"))) }
}

/// Ends every open step of a job whose attempt ends: none runs on without its job.
pub(crate) fn close_open(
    tx: &Tx<'_>,
    job: JobId,
    status: StepStatus,
    cause: Option<Cause>,
    reason: &str,
) -> Result<(), StoreError> {
    tx.run(
        "end the open steps of a job",
        "UPDATE steps SET status = ?2, cause = ?3, reason = ?4, finished_at = ?5
         WHERE job_id = ?1 AND finished_at IS NULL",
        params![job, status, cause, reason, micros(tx.now())],
    )?;
    Ok(())
}

/// The error of a write whose lease is not held.
fn not_leased(job: JobId, lease: LeaseId) -> StoreError {
    StoreError::not_found(format!("running job {job} under lease {lease}"))
}
