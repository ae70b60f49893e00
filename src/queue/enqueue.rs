//! A trigger becomes a pending job.
use std::collections::BTreeMap;

use super::{QueueError, cancel};
use crate::model::settings::Pipeline;
use crate::model::trigger::{RepoEvent, Revision, Trigger};
use crate::model::{JobId, PipelineId, Principal};
use crate::store::{Durability, Store, StoreError, Tx, job_moves, jobs};

/// What a job is made of.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The pipeline.
    pub pipeline_id: PipelineId,
    /// Its document as it is now: recorded with the job.
    pub pipeline: Pipeline,
    /// The config commit in force.
    pub config_commit: String,
    /// Why it is made.
    pub trigger: Trigger,
    /// What happened in the repository.
    pub event: Option<RepoEvent>,
    /// What exactly makes it: a delivery id, a cron tick.
    pub origin: Option<String>,
    /// Who makes it.
    pub actor: Principal,
    /// The commit it builds.
    pub revision: Revision,
    /// The pull request's number.
    pub pull_request: Option<u64>,
    /// The branch that the pull request is to be merged into.
    pub pr_base: Option<String>,
    /// The pull request comes from a fork.
    pub fork: bool,
    /// Parameters of a manual start.
    pub params: BTreeMap<String, String>,
    /// The job it runs again.
    pub parent: Option<JobId>,
    /// It goes on in the parent's workspace.
    pub reuse: bool,
    /// A second job of the same key is not made.
    pub dedupe_key: Option<String>,
}

/// What `enqueue` came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The job.
    pub id: JobId,
    /// False: the dedupe key was known, this is the job made then.
    pub new: bool,
}

/// Makes a pending job; durable when it returns. Older jobs of its group are superseded in the same transaction.
pub async fn enqueue(store: &Store, job: NewJob) -> Result<Enqueued, QueueError> {
    Ok(store.write("queue.enqueue", Durability::Acknowledged, move |tx| enqueue_in(tx, &job)).await?)
}

/// `enqueue` within the transaction of its cause.
pub fn enqueue_in(tx: &Tx<'_>, job: &NewJob) -> Result<Enqueued, StoreError> {
    if let Some(key) = &job.dedupe_key
        && let Some(known) = jobs::find_by_dedupe_key(tx, key)?
    {
        return Ok(Enqueued { id: known.id, new: false });
    }
    let group = group_key(job);
    let id = job_moves::insert(
        tx,
        &job_moves::Insert {
            pipeline_id: job.pipeline_id,
            pipeline: &job.pipeline,
            config_commit: &job.config_commit,
            trigger: job.trigger,
            event: job.event,
            origin: job.origin.as_deref(),
            actor: &job.actor.label(),
            revision: &job.revision,
            pull_request: job.pull_request,
            pr_base: job.pr_base.as_deref(),
            fork: job.fork,
            params: &job.params,
            parent: job.parent,
            reuse: job.reuse,
            dedupe_key: job.dedupe_key.as_deref(),
            group_key: group.as_deref(),
        },
    )?;
    if let Some(group) = &group
        && job.pipeline.concurrency.cancel_superseded
    {
        supersede(tx, group, id)?;
    }
    Ok(Enqueued { id, new: true })
}

/// Older jobs of the group end: waiting ones at once, running ones are asked to.
fn supersede(tx: &Tx<'_>, group: &str, by: JobId) -> Result<(), StoreError> {
    let label = jobs::get(tx, by)?.label();
    for older in job_moves::live_of_group(tx, group, by)? {
        cancel::cancel_job(tx, &older, cancel::SYSTEM, &format!("superseded by {label}"))?;
    }
    Ok(())
}

/// The group within the owning team, so that no team can hold up or cancel another's jobs by a
/// name; a pull request's jobs never share a group with those of a branch.
fn group_key(job: &NewJob) -> Option<String> {
    let group = job.pipeline.concurrency.group.as_ref()?;
    let (branch, suffix) = match job.pull_request {
        Some(n) => (format!("pull/{n}"), format!("/pull/{n}")),
        None => (job.revision.branch.clone(), String::new()),
    };
    Some(format!("{}/{}{suffix}", job.pipeline.team, group.replace("{branch}", &branch)))
}
