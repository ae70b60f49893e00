//! jobs: the writes. For `queue` alone, which asks `model::job::next` first.
use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{named_params, params};

use super::sql::{int, micros, row, to_json};
use super::{JobRow, StoreError, Tx, View};
use crate::model::job::{Next, Status};
use crate::model::settings::Pipeline;
use crate::model::trigger::{RepoEvent, Revision, Trigger};
use crate::model::{JobId, LeaseId, PipelineId};

/// What `insert` stores.
pub(crate) struct Insert<'a> {
    pub(crate) pipeline_id: PipelineId,
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) config_commit: &'a str,
    pub(crate) trigger: Trigger,
    pub(crate) event: Option<RepoEvent>,
    pub(crate) origin: Option<&'a str>,
    pub(crate) actor: &'a str,
    pub(crate) revision: &'a Revision,
    pub(crate) pull_request: Option<u64>,
    pub(crate) pr_base: Option<&'a str>,
    pub(crate) fork: bool,
    pub(crate) params: &'a BTreeMap<String, String>,
    pub(crate) parent: Option<JobId>,
    pub(crate) reuse: bool,
    pub(crate) dedupe_key: Option<&'a str>,
    pub(crate) group_key: Option<&'a str>,
}

/// Makes a pending job with the next number of its pipeline.
pub(crate) fn insert(tx: &Tx<'_>, new: &Insert<'_>) -> Result<JobId, StoreError> {
    let what = "store a new job";
    let number: i64 = tx
        .value(
            what,
            "UPDATE pipelines SET last_number = last_number + 1 WHERE id = ?1 RETURNING last_number",
            [new.pipeline_id],
        )?
        .ok_or_else(|| StoreError::not_found(format!("pipeline {}", new.pipeline_id)))?;
    let id = JobId::from_uuid(tx.uuid());
    let now = micros(tx.now());
    tx.run(
        what,
        "INSERT INTO jobs (id, pipeline_id, pipeline_name, number, team, trigger, event, origin, actor, commit_sha,
            branch, tag, message, author, pull_request, pr_base, fork, params, config_commit, snapshot, parent, reuse,
            dedupe_key, group_key, max_running, max_duration, status, attempt, max_attempts, created_at, run_after)
         VALUES (:id, :pipeline_id, :pipeline_name, :number, :team, :trigger, :event, :origin, :actor, :commit_sha,
            :branch, :tag, :message, :author, :pull_request, :pr_base, :fork, :params, :config_commit, :snapshot, :parent, :reuse,
            :dedupe_key, :group_key, :max_running, :max_duration, 'pending', 0, :max_attempts, :now, :now)",
        named_params! {
            ":id": id,
            ":pipeline_id": new.pipeline_id,
            ":pipeline_name": new.pipeline.name,
            ":number": number,
            ":team": new.pipeline.team,
            ":trigger": new.trigger,
            ":event": new.event,
            ":origin": new.origin,
            ":actor": new.actor,
            ":commit_sha": new.revision.commit,
            ":branch": new.revision.branch,
            ":tag": new.revision.tag,
            ":message": new.revision.message,
            ":author": new.revision.author,
            ":pull_request": new.pull_request.map(int),
            ":pr_base": new.pr_base,
            ":fork": new.fork,
            ":params": to_json(what, new.params)?,
            ":config_commit": new.config_commit,
            ":snapshot": to_json(what, new.pipeline)?,
            ":parent": new.parent,
            ":reuse": new.reuse,
            ":dedupe_key": new.dedupe_key,
            ":group_key": new.group_key,
            ":max_running": new.pipeline.concurrency.max_running,
            ":max_duration": int(new.pipeline.max_duration_seconds.clamp(1, 30 * 86_400)),
            // A lost attempt takes the workspace with it, and what was reused with that: nothing could begin again.
            ":max_attempts": if new.reuse { 1 } else { new.pipeline.attempts.max(1) },
            ":now": now,
        },
    )?;
    Ok(id)
}

/// Older jobs of a group that wait or run.
pub(crate) fn live_of_group(view: &View<'_>, group: &str, but: JobId) -> Result<Vec<JobRow>, StoreError> {
    view.all(
        "read the jobs of a concurrency group",
        "SELECT * FROM jobs WHERE group_key = ?1 AND id <> ?2 AND status IN ('pending', 'running') ORDER BY id",
        params![group, but],
    )
}

/// A lease as it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease<'a> {
    pub(crate) id: LeaseId,
    pub(crate) owner: &'a str,
    pub(crate) now: Timestamp,
    pub(crate) expires: Timestamp,
}

/// One statement under `BEGIN IMMEDIATE`: nobody can take the same job in between.
pub(super) const CLAIM: &str =
    "UPDATE jobs SET status = 'running', attempt = attempt + 1, lease_id = :lease, lease_owner = :owner,
       lease_expires_at = :expires, heartbeat_at = :now, started_at = COALESCE(started_at, :now),
       deadline = :now + max_duration * 1000000
    WHERE id = (
       SELECT waiting.id FROM jobs AS waiting
       WHERE waiting.status = 'pending' AND waiting.run_after <= :now
       AND (SELECT COUNT(*) FROM jobs AS r WHERE r.status = 'running' AND r.parked_since IS NULL) < :max_running
       AND (waiting.max_running IS NULL OR waiting.max_running > (
           SELECT COUNT(*) FROM jobs AS r
           WHERE r.status = 'running' AND r.parked_since IS NULL AND r.pipeline_id = waiting.pipeline_id))
       AND (waiting.group_key IS NULL OR NOT EXISTS (
           SELECT 1 FROM jobs AS r WHERE r.group_key = waiting.group_key AND r.status = 'running'))
       ORDER BY
           (SELECT COUNT(*) FROM jobs AS r
            WHERE r.status = 'running' AND r.parked_since IS NULL AND r.team = waiting.team),
           waiting.created_at, waiting.id
       LIMIT 1)
    RETURNING *";

/// Something waits that may start, and a slot is free. What holds single jobs back, `claim` alone knows.
pub(crate) fn worth_a_claim(view: &View<'_>, now: Timestamp, max_running: u32) -> Result<bool, StoreError> {
    let worth: Option<bool> = view.value(
        "see whether a job may start",
        "SELECT EXISTS (SELECT 1 FROM jobs WHERE status = 'pending' AND run_after <= ?1)
            AND (SELECT COUNT(*) FROM jobs AS r WHERE r.status = 'running' AND r.parked_since IS NULL) < ?2",
        params![micros(now), max_running],
    )?;
    Ok(worth.unwrap_or(false))
}

/// Leases the next eligible job: of the team with the fewest running jobs, the oldest.
///
/// Parked jobs hold their concurrency group, but no slot.
pub(crate) fn claim(tx: &Tx<'_>, lease: Lease<'_>, max_running: u32) -> Result<Option<JobRow>, StoreError> {
    tx.first(
        "claim a job",
        CLAIM,
        named_params! {
            ":lease": lease.id,
            ":owner": lease.owner,
            ":expires": micros(lease.expires),
            ":now": micros(lease.now),
            ":max_running": max_running,
        },
    )
}

/// Extends a lease. False: it is not held any more.
pub(crate) fn renew(
    tx: &Tx<'_>,
    id: JobId,
    lease: LeaseId,
    now: Timestamp,
    expires: Timestamp,
) -> Result<bool, StoreError> {
    changed(tx.run(
        "renew a lease",
        "UPDATE jobs SET heartbeat_at = ?3, lease_expires_at = ?4
         WHERE id = ?1 AND lease_id = ?2 AND status = 'running'",
        params![id, lease, micros(now), micros(expires)],
    ))
}

/// Gives a running job a new lease in place of `old`.
pub(crate) fn adopt(tx: &Tx<'_>, id: JobId, old: LeaseId, new: Lease<'_>) -> Result<bool, StoreError> {
    changed(tx.run(
        "adopt a job",
        "UPDATE jobs SET lease_id = ?3, lease_owner = ?4, heartbeat_at = ?5, lease_expires_at = ?6
         WHERE id = ?1 AND lease_id = ?2 AND status = 'running'",
        params![id, old, new.id, new.owner, micros(new.now), micros(new.expires)],
    ))
}

/// Notes that a running job is to end, and why; the first request stays.
pub(crate) fn request_cancel(tx: &Tx<'_>, id: JobId, by: &str, reason: &str) -> Result<bool, StoreError> {
    changed(tx.run(
        "request the end of a job",
        "UPDATE jobs SET cancel_requested_at = ?4, cancel_requested_by = ?2, reason = ?3
         WHERE id = ?1 AND status = 'running' AND cancel_requested_at IS NULL",
        params![id, by, reason, micros(tx.now())],
    ))
}

/// Ends a pending job as cancelled.
pub(crate) fn cancel_pending(tx: &Tx<'_>, id: JobId, by: &str, reason: &str) -> Result<bool, StoreError> {
    changed(tx.run(
        "cancel a pending job",
        "UPDATE jobs SET status = 'cancelled', finished_at = ?4, cancel_requested_at = ?4, cancel_requested_by = ?2,
            reason = ?3
         WHERE id = ?1 AND status = 'pending'",
        params![id, by, reason, micros(tx.now())],
    ))
}

/// Ends a leased job.
pub(crate) fn end(
    tx: &Tx<'_>,
    id: JobId,
    lease: LeaseId,
    next: Next,
    reason: Option<&str>,
) -> Result<bool, StoreError> {
    debug_assert!(next.status.is_terminal());
    changed(tx.run(
        "finish a job",
        "UPDATE jobs SET status = ?3, failure_kind = ?4, reason = ?5, finished_at = ?6, lease_id = NULL,
            lease_owner = NULL, lease_expires_at = NULL, parked_reason = NULL, parked_since = NULL
         WHERE id = ?1 AND lease_id = ?2 AND status = 'running'",
        params![id, lease, next.status, next.failure, reason, micros(tx.now())],
    ))
}

/// Puts a leased job whose attempt was lost back among the pending ones.
pub(crate) fn retry(
    tx: &Tx<'_>,
    id: JobId,
    lease: LeaseId,
    run_after: Timestamp,
    reason: &str,
) -> Result<bool, StoreError> {
    changed(tx.run(
        "put a lost job back",
        "UPDATE jobs SET status = 'pending', run_after = ?3, reason = ?4, lease_id = NULL, lease_owner = NULL,
            lease_expires_at = NULL, deadline = NULL, parked_reason = NULL, parked_since = NULL
         WHERE id = ?1 AND lease_id = ?2 AND status = 'running'",
        params![id, lease, micros(run_after), reason],
    ))
}

/// Parks a leased job, or (`None`) lets it go on.
pub(crate) fn park(tx: &Tx<'_>, id: JobId, lease: LeaseId, reason: Option<&str>) -> Result<bool, StoreError> {
    changed(tx.run(
        "park a job",
        "UPDATE jobs SET parked_reason = ?3, parked_since = CASE WHEN ?3 IS NULL THEN NULL ELSE ?4 END
         WHERE id = ?1 AND lease_id = ?2 AND status = 'running'",
        params![id, lease, reason, micros(tx.now())],
    ))
}

/// Notes what the danubefile declares; a deadline only gets nearer.
pub(crate) fn declare(
    tx: &Tx<'_>,
    id: JobId,
    lease: LeaseId,
    title: Option<&str>,
    deadline: Option<Timestamp>,
) -> Result<bool, StoreError> {
    changed(tx.run(
        "note what a danubefile declares",
        "UPDATE jobs SET title = COALESCE(?3, title), deadline = MIN(deadline, COALESCE(?4, deadline))
         WHERE id = ?1 AND lease_id = ?2 AND status = 'running'",
        params![id, lease, title, deadline.map(micros)],
    ))
}

row! {
    /// What stands in the way of a pending job.
    pub(crate) struct Crowd {
        /// Running jobs that take a slot.
        pub running: u32,
        /// Those of the same pipeline.
        pub of_pipeline: u32,
        /// The pipeline's own limit.
        pub max_running: Option<u32>,
        /// The running job of the same group.
        pub group_holder: Option<String>,
        /// Pending jobs that are older.
        pub ahead: u32,
    }
}

/// Counts what stands in the way of a pending job.
pub(crate) fn crowd(view: &View<'_>, job: &JobRow) -> Result<Crowd, StoreError> {
    debug_assert!(job.status == Status::Pending);
    let crowd = view.first(
        "see why a job waits",
        "SELECT
            (SELECT COUNT(*) FROM jobs AS r WHERE r.status = 'running' AND r.parked_since IS NULL) AS running,
            (SELECT COUNT(*) FROM jobs AS r
             WHERE r.status = 'running' AND r.parked_since IS NULL AND r.pipeline_id = j.pipeline_id) AS of_pipeline,
            j.max_running AS max_running,
            (SELECT r.pipeline_name || '#' || r.number FROM jobs AS r
             WHERE r.group_key = j.group_key AND r.status = 'running' LIMIT 1) AS group_holder,
            (SELECT COUNT(*) FROM jobs AS p
             WHERE p.status = 'pending' AND (p.created_at, p.id) < (j.created_at, j.id)) AS ahead
         FROM jobs AS j WHERE j.id = ?1",
        [job.id],
    )?;
    crowd.ok_or_else(|| StoreError::not_found(format!("job {}", job.id)))
}

/// The earliest moment at which a waiting retry becomes eligible.
pub(crate) fn next_run_after(view: &View<'_>, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let micros: Option<Option<i64>> = view.value(
        "see when the next job may start",
        "SELECT MIN(run_after) FROM jobs WHERE status = 'pending' AND run_after > ?1",
        [micros(now)],
    )?;
    Ok(micros.flatten().and_then(|at| Timestamp::from_microsecond(at).ok()))
}

fn changed(rows: Result<usize, StoreError>) -> Result<bool, StoreError> {
    rows.map(|n| n == 1)
}
