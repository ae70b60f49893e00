//! `GET /api/v1/pipelines` and `GET /api/v1/pipelines/{name}`.
use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::job_json;
use crate::model::Action;
use crate::model::settings::Param;
use crate::store::job_list::{self, Filter};
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

/// A pipeline as it is in force, with what a start may say.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor, Path(name): Path<String>) -> Answer {
    let (_read, row) = access::pipeline(&app, &visitor, name, Action::ReadPipeline).await?;
    let id = row.id;
    let newest = Filter { pipelines: Some(vec![id]), limit: 1, ..Filter::default() };
    let last = app.store.read(move |view| job_list::page(view, &newest)).await?;
    let document = row.pipeline()?;
    let body = json!({
        "id": id, "name": row.name, "team": row.team, "repository": row.repository, "active": row.active,
        "last_job": last.first().map(job_json::job), "script": document.script, "triggers": document.triggers,
        "branch_filter": document.branch_filter, "paths": document.paths,
        "max_duration_seconds": document.max_duration_seconds,
        "params": document.params.iter().map(param).collect::<Vec<_>>(),
    });
    Ok(Json(body).into_response())
}

/// A param as a form or a client needs it: every field is there.
fn param(param: &Param) -> Value {
    json!({
        "name": param.name, "type": param.kind, "choices": param.choices, "default": param.default,
        "required": param.is_required(), "description": param.description,
    })
}
