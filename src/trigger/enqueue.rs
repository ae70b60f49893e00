//! A trigger's last step: the job row, in the transaction that records why.
use std::collections::BTreeMap;

use crate::model::trigger::{RepoEvent, Revision, Trigger};
use crate::model::{JobId, PipelineId, Principal};
use crate::queue::{self, NewJob};
use crate::store::{StoreError, Tx, config_commits, pipelines};

/// Why a job is made.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    pub(super) trigger: Trigger,
    pub(super) event: Option<RepoEvent>,
    /// A delivery id, a tick.
    pub(super) origin: Option<String>,
    pub(super) actor: Principal,
    pub(super) params: BTreeMap<String, String>,
    pub(super) dedupe_key: Option<String>,
}

/// Makes the job, with the pipeline and config commit in force in this transaction. None: the pipeline is not in
/// force any more.
pub(super) fn enqueue(
    tx: &Tx<'_>,
    id: PipelineId,
    revision: Revision,
    cause: Cause,
) -> Result<Option<JobId>, StoreError> {
    let row = pipelines::get(tx, id)?;
    let Some(config) = config_commits::in_force(tx)?.filter(|_| row.active) else { return Ok(None) };
    let new = NewJob {
        pipeline_id: id,
        pipeline: row.pipeline()?,
        config_commit: config.sha,
        trigger: cause.trigger,
        event: cause.event,
        origin: cause.origin,
        actor: cause.actor,
        revision,
        pull_request: None,
        fork: false,
        params: cause.params,
        parent: None,
        reuse: false,
        dedupe_key: cause.dedupe_key,
    };
    Ok(Some(queue::enqueue_in(tx, &new)?.id))
}
