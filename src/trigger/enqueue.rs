//! A trigger's last step: the job row, in the transaction that records why.
use std::collections::BTreeMap;

use crate::model::param::{self, BadParams};
use crate::model::trigger::{RepoEvent, Revision, Trigger};
use crate::model::{PipelineId, Principal};
use crate::queue::{self, Enqueued, NewJob};
use crate::store::{StoreError, Tx, config_commits, pipelines};

/// Why a job is made.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    pub(super) trigger: Trigger,
    pub(super) event: Option<RepoEvent>,
    /// A delivery id, a tick.
    pub(super) origin: Option<String>,
    pub(super) actor: Principal,
    /// What the asker gave; the defaults of the rest are filled in.
    pub(super) params: BTreeMap<String, String>,
    pub(super) dedupe_key: Option<String>,
}

/// What became of a trigger.
#[derive(Debug)]
pub(super) enum Made {
    /// A job, or the one that its dedupe key made before.
    Job(Enqueued),
    /// Nothing: the pipeline is not in force any more.
    Inactive,
    /// Nothing: the pipeline takes no such params.
    Refused(BadParams),
}

/// Makes the job, with the pipeline and config commit in force in this transaction.
pub(super) fn enqueue(tx: &Tx<'_>, id: PipelineId, revision: Revision, cause: Cause) -> Result<Made, StoreError> {
    let row = pipelines::get(tx, id)?;
    let Some(config) = config_commits::in_force(tx)?.filter(|_| row.active) else { return Ok(Made::Inactive) };
    let pipeline = row.pipeline()?;
    let params = match param::fill(&pipeline.params, &cause.params) {
        Ok(params) => params,
        Err(bad) => return Ok(Made::Refused(bad)),
    };
    let new = NewJob {
        pipeline_id: id,
        pipeline,
        config_commit: config.sha,
        trigger: cause.trigger,
        event: cause.event,
        origin: cause.origin,
        actor: cause.actor,
        revision,
        pull_request: None,
        pr_base: None,
        fork: false,
        params,
        parent: None,
        reuse: false,
        dedupe_key: cause.dedupe_key,
    };
    queue::enqueue_in(tx, &new).map(Made::Job)
}
