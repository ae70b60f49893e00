//! Jobs, steps and artifacts as the API shows them. Fields are only ever added.
use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::job::{FailureKind, Status};
use crate::model::step::{Cause, StepStatus};
use crate::model::trigger::{RepoEvent, Trigger};
use crate::model::{JobId, PipelineId};
use crate::registry::HOST_PORT;
use crate::store::job_limits::LimitsRow;
use crate::store::registry::PushedRow;
use crate::store::{ArtifactRow, JobRow, StepRow};

/// A job.
#[derive(Serialize, JsonSchema)]
pub(in crate::web) struct Job<'a> {
    id: JobId,
    pipeline: &'a str,
    pipeline_id: PipelineId,
    number: u64,
    title: Option<&'a str>,
    status: Status,
    failure: Option<FailureKind>,
    reason: Option<&'a str>,
    parked: Option<&'a str>,
    trigger: Trigger,
    event: Option<RepoEvent>,
    actor: &'a str,
    branch: &'a str,
    tag: Option<&'a str>,
    commit: &'a str,
    message: &'a str,
    author: &'a str,
    params: &'a BTreeMap<String, String>,
    config_commit: &'a str,
    parent: Option<JobId>,
    /// It goes on where its parent stopped, in the parent's workspace: its record is no provenance.
    reuse: bool,
    attempt: u32,
    max_attempts: u32,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    cancel_requested_at: Option<Timestamp>,
    cancel_requested_by: Option<&'a str>,
}

/// A step: its newest attempt.
#[derive(Serialize, JsonSchema)]
pub(in crate::web) struct Step<'a> {
    n: u32,
    /// `step`, or `service`: it ran beside the steps of its branch.
    kind: &'static str,
    name: &'a str,
    branch: &'a str,
    status: StepStatus,
    cause: Option<Cause>,
    exit_code: Option<i32>,
    reason: Option<&'a str>,
    attempt: u32,
    allow_failure: bool,
    image: &'a str,
    image_digest: Option<&'a str>,
    command: &'a str,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    log_bytes: Option<u64>,
    log_sha256: Option<&'a str>,
    /// The job that ran it, where this one only took it over; times and log are that job's.
    reused_from: Option<ReusedFrom<'a>>,
}

/// The job that ran a step which another one took over.
#[derive(Serialize, JsonSchema)]
pub(in crate::web) struct ReusedFrom<'a> {
    job: JobId,
    /// `web#12`.
    label: &'a str,
}

/// Whether a job can be run again from where it stopped.
#[derive(Serialize, JsonSchema)]
pub(in crate::web) struct FromFailed {
    possible: bool,
    /// Why not, as the end of a sentence.
    why: Option<String>,
}

/// The form of an answer; `None`: it is possible.
pub(in crate::web) fn from_failed(why: Option<String>) -> FromFailed {
    FromFailed { possible: why.is_none(), why }
}

/// How large a job's workspace may be.
#[derive(Serialize, JsonSchema)]
pub(in crate::web) struct Workspace {
    limit_bytes: u64,
    /// `quota`: the file system refuses what is more; `watch`: it is looked at about once a second, and what is more
    /// ends the steps; none: nothing enforces it.
    held_by: Option<&'static str>,
    /// The same in words.
    said: String,
}

/// The form of a job's limits.
pub(in crate::web) fn workspace(row: &LimitsRow) -> Workspace {
    let held_by = row.workspace_by.map(|by| by.as_str());
    Workspace { limit_bytes: row.workspace_bytes, held_by, said: row.said() }
}

/// An artifact.
#[derive(Serialize, JsonSchema)]
pub(in crate::web) struct Artifact<'a> {
    name: &'a str,
    kind: &'static str,
    size: u64,
    sha256: &'a str,
    stored_at: Timestamp,
    expired_at: Option<Timestamp>,
}

/// An image that a job pushed to the registry beside the server.
#[derive(Serialize, JsonSchema)]
pub(in crate::web) struct PushedImage<'a> {
    /// `registry.danube-system:5000/web/app`.
    repository: String,
    tag: Option<&'a str>,
    /// `sha256:…` of its manifest, taken by the server.
    digest: String,
    /// Of its layers and configuration.
    bytes: u64,
    pushed_at: Timestamp,
    expired_at: Option<Timestamp>,
}

/// The form of a pushed image.
pub(in crate::web) fn pushed(row: &PushedRow) -> PushedImage<'_> {
    PushedImage {
        repository: format!("{HOST_PORT}/{}", row.repository),
        tag: Some(row.tag.as_str()).filter(|tag| !tag.is_empty()),
        digest: format!("sha256:{}", row.digest),
        bytes: row.bytes,
        pushed_at: row.pushed_at,
        expired_at: row.expired_at,
    }
}

/// The form of a job.
pub(in crate::web) fn job(row: &JobRow) -> Job<'_> {
    Job {
        id: row.id,
        pipeline: &row.pipeline_name,
        pipeline_id: row.pipeline_id,
        number: row.number,
        title: row.title.as_deref(),
        status: row.status,
        failure: row.failure_kind,
        reason: row.reason.as_deref(),
        parked: row.parked_reason.as_deref(),
        trigger: row.trigger,
        event: row.event,
        actor: &row.actor,
        branch: &row.branch,
        tag: row.tag.as_deref(),
        commit: &row.commit_sha,
        message: &row.message,
        author: &row.author,
        params: &row.params,
        config_commit: &row.config_commit,
        parent: row.parent,
        reuse: row.reuse,
        attempt: row.attempt,
        max_attempts: row.max_attempts,
        created_at: row.created_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
        cancel_requested_at: row.cancel_requested_at,
        cancel_requested_by: row.cancel_requested_by.as_deref(),
    }
}

/// The forms of a job's steps, without the coordinator; retries are one step.
pub(in crate::web) fn steps(rows: &[StepRow]) -> Vec<Step<'_>> {
    let newest = rows
        .iter()
        .enumerate()
        .filter(|(i, row)| row.seq > 0 && rows.get(i + 1).is_none_or(|after| after.seq != row.seq));
    newest.map(|(_, row)| step(row)).collect()
}

fn step(row: &StepRow) -> Step<'_> {
    Step {
        n: row.seq,
        kind: row.kind.as_str(),
        name: &row.name,
        branch: &row.branch,
        status: row.status,
        cause: row.cause,
        exit_code: row.exit_code,
        reason: row.reason.as_deref(),
        attempt: row.attempt,
        allow_failure: row.allow_failure,
        image: &row.image,
        image_digest: row.image_digest.as_deref(),
        command: &row.command,
        started_at: row.started_at,
        finished_at: row.finished_at,
        log_bytes: row.log_bytes,
        log_sha256: row.log_sha256.as_deref(),
        reused_from: row
            .reused_from
            .map(|job| ReusedFrom { job, label: row.reused_label.as_deref().unwrap_or_default() }),
    }
}

/// The form of an artifact.
pub(in crate::web) fn artifact(row: &ArtifactRow) -> Artifact<'_> {
    Artifact {
        name: &row.name,
        kind: row.kind.as_str(),
        size: row.size,
        sha256: &row.sha256,
        stored_at: row.stored_at,
        expired_at: row.expired_at,
    }
}
