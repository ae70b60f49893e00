//! `GET /api/v1/pipelines`.
use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;

use super::job_json;
use crate::model::PipelineId;
use crate::store::{JobRow, job_list};
use crate::web::access;
use crate::web::cursor::Cursors;
use crate::web::error::Answer;
use crate::web::query::{PageQuery, Query};
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// The pipelines in force.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PipelineList")]
pub(in crate::web) struct List<'a> {
    /// By name.
    pipelines: Vec<Pipeline<'a>>,
    /// The cursor of the next page; none: this is the last.
    next: Option<String>,
}

/// A pipeline.
#[derive(Serialize, JsonSchema)]
pub(in crate::web) struct Pipeline<'a> {
    id: PipelineId,
    name: &'a str,
    /// The owning team.
    team: &'a str,
    repository: &'a str,
    /// Its newest job.
    last_job: Option<job_json::Job<'a>>,
}

/// The active pipelines that the visitor may see, each with its newest job.
pub(in crate::web) async fn list(
    State(app): State<AppState>,
    visitor: Visitor,
    Query(query): Query<PageQuery>,
) -> Answer {
    let list = Cursors::of("pipelines", &());
    let after: String = list.read(query.cursor.as_deref())?.unwrap_or_default();
    let limit = query.limit()? as usize;
    let mut rows = access::readable(&app, &visitor).await?;
    rows.retain(|row| row.name > after);
    rows.truncate(limit);
    let next = rows.last().filter(|_| rows.len() == limit).map(|row| list.write(&row.name));
    let newest = app.store.read(job_list::newest_per_pipeline).await?;
    let newest: HashMap<PipelineId, JobRow> = newest.into_iter().map(|job| (job.pipeline_id, job)).collect();
    let pipelines = rows.iter().map(|row| Pipeline {
        id: row.id,
        name: &row.name,
        team: &row.team,
        repository: &row.repository,
        last_job: newest.get(&row.id).map(job_json::job),
    });
    Ok(Json(List { pipelines: pipelines.collect(), next }).into_response())
}
