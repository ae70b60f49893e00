//! `GET /api/v1/pipelines`.
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;

use super::job_json;
use crate::model::PipelineId;
use crate::store::job_list;
use crate::web::access;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// The pipelines in force.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PipelineList")]
pub(in crate::web) struct List<'a> {
    /// By name.
    pipelines: Vec<Pipeline<'a>>,
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
pub(in crate::web) async fn list(State(app): State<AppState>, visitor: Visitor) -> Answer {
    let rows = access::readable(&app, &visitor).await?;
    let newest = app.store.read(job_list::newest_per_pipeline).await?;
    let pipelines = rows.iter().map(|row| Pipeline {
        id: row.id,
        name: &row.name,
        team: &row.team,
        repository: &row.repository,
        last_job: newest.iter().find(|job| job.pipeline_id == row.id).map(job_json::job),
    });
    Ok(Json(List { pipelines: pipelines.collect() }).into_response())
}
