//! `GET /api/v1/pipelines`.
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::job_json;
use crate::store::job_list;
use crate::web::access;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// The active pipelines that the visitor may see, each with its newest job.
pub(in crate::web) async fn list(State(app): State<AppState>, visitor: Visitor) -> Answer {
    let rows = access::readable(&app, &visitor).await?;
    let newest = app.store.read(job_list::newest_per_pipeline).await?;
    let pipelines: Vec<Value> = rows
        .iter()
        .map(|row| {
            let last = newest.iter().find(|job| job.pipeline_id == row.id).map(job_json::job);
            json!({
                "id": row.id, "name": row.name, "team": row.team, "repository": row.repository, "last_job": last,
            })
        })
        .collect();
    Ok(Json(json!({ "pipelines": pipelines })).into_response())
}
