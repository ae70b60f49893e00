//! From a request to the thing it is about, through the one decision.
use super::error::{Answer, WebError};
use super::job_ref::JobRef;
use super::state::AppState;
use super::visitor::Visitor;
use crate::auth::{Authorized, authorize};
use crate::model::{Action, PipelineId};
use crate::store::pipelines::PipelineRow;
use crate::store::{JobRow, jobs, pipelines};

/// May the visitor do that?
pub(super) fn allow(visitor: &Visitor, action: Action) -> Answer<Authorized> {
    Ok(authorize(&visitor.caller, action)?)
}

/// Whether a page offers something; the decision falls again when it is asked for.
pub(super) fn may(visitor: &Visitor, action: Action) -> bool {
    authorize(&visitor.caller, action).is_ok()
}

/// The job that a request names, if the visitor may do `what` with it.
pub(super) async fn job(
    app: &AppState,
    visitor: &Visitor,
    name: &str,
    what: fn(PipelineId) -> Action,
) -> Answer<(Authorized, JobRow)> {
    let name = JobRef::parse(name).ok_or_else(WebError::not_found)?;
    let job = app
        .store
        .read(move |view| match name {
            JobRef::Id(id) => jobs::find(view, id),
            JobRef::Number { pipeline, number } => jobs::find_by_number(view, &pipeline, number),
        })
        .await?
        .ok_or_else(WebError::not_found)?;
    Ok((allow(visitor, what(job.pipeline_id))?, job))
}

/// The pipeline of that name, if the visitor may do `what` with it.
pub(super) async fn pipeline(
    app: &AppState,
    visitor: &Visitor,
    name: String,
    what: fn(PipelineId) -> Action,
) -> Answer<(Authorized, PipelineRow)> {
    let row = app.store.read(move |view| pipelines::find_by_name(view, &name)).await?;
    let row = row.ok_or_else(WebError::not_found)?;
    Ok((allow(visitor, what(row.id))?, row))
}

/// The active pipelines that the visitor may see.
pub(super) async fn readable(app: &AppState, visitor: &Visitor) -> Answer<Vec<PipelineRow>> {
    let rows = app.store.read(pipelines::active).await?;
    Ok(rows.into_iter().filter(|row| may(visitor, Action::ReadPipeline(row.id))).collect())
}

/// The pipelines whose jobs the visitor may list; none: all of them.
pub(super) fn listed(visitor: &Visitor) -> Option<Vec<PipelineId>> {
    let grants = &visitor.caller.grants;
    let ids: Vec<PipelineId> = match (grants.global_admin, grants.scope.pipeline) {
        (true, None) => return None,
        (true, Some(only)) => vec![only],
        (false, _) => grants.levels.keys().copied().collect(),
    };
    Some(ids.into_iter().filter(|id| may(visitor, Action::ReadPipeline(*id))).collect())
}
