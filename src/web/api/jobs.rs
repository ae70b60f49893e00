//! `GET /api/v1/jobs` and `GET /api/v1/jobs/{id}`.
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::job_json;
use crate::model::job::Status;
use crate::model::{Action, JobId};
use crate::queue;
use crate::store::job_list::{self, Filter};
use crate::store::{config_commits, steps};
use crate::web::access;
use crate::web::error::{Answer, WebError};
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

const USUAL_LIMIT: u32 = 50;

/// The query of a list.
#[derive(Deserialize)]
pub(in crate::web) struct ListQuery {
    pipeline: Option<String>,
    status: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

/// Newest first; `next` is the cursor of the next page.
pub(in crate::web) async fn list(
    State(app): State<AppState>,
    visitor: Visitor,
    Query(query): Query<ListQuery>,
) -> Answer {
    let text = |value: Option<String>| value.filter(|text| !text.is_empty());
    let status = match text(query.status) {
        Some(word) => Some(word.parse::<Status>().map_err(|e| WebError::bad_request(e.to_string()))?),
        None => None,
    };
    let before = match text(query.cursor) {
        Some(cursor) => Some(cursor.parse::<JobId>().map_err(|_| {
            WebError::bad_request("the cursor is none of ours; take `next` of the page before, or leave it out")
        })?),
        None => None,
    };
    let pipelines = match text(query.pipeline) {
        Some(name) => {
            let (_read, row) = access::pipeline(&app, &visitor, name, Action::ReadPipeline).await?;
            Some(vec![row.id])
        }
        None => access::listed(&visitor),
    };
    let limit = query.limit.unwrap_or(USUAL_LIMIT).clamp(1, 200);
    let filter = Filter { pipelines, status, branch: None, before, limit };
    let rows = app.store.read(move |view| job_list::page(view, &filter)).await?;
    let full = rows.len() == limit as usize;
    let next = rows.last().filter(|_| full).map(|row| row.id);
    let jobs: Vec<_> = rows.iter().map(job_json::job).collect();
    Ok(Json(json!({ "jobs": jobs, "next": next })).into_response())
}

/// A job with its steps; `waiting` says why a pending one does not run yet.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor, Path(name): Path<String>) -> Answer {
    let (_read, job) = access::job(&app, &visitor, &name, Action::ReadPipeline).await?;
    let id = job.id;
    let rows = app.store.read(move |view| steps::of_job(view, id)).await?;
    let waiting = if job.status == Status::Pending { waiting(&app, id).await? } else { None };
    let mut body = serde_json::to_value(job_json::job(&job)).map_err(|e| WebError::internal(&e))?;
    body["steps"] = json!(job_json::steps(&rows));
    body["waiting"] = json!(waiting);
    Ok(Json(body).into_response())
}

/// Why a pending job does not run yet.
pub(in crate::web) async fn waiting(app: &AppState, id: JobId) -> Answer<Option<String>> {
    let global = app.store.read(config_commits::global_in_force).await?;
    let limits = queue::Limits { max_running: global.max_running_jobs };
    match queue::waiting_reason(&app.store, id, limits).await {
        Ok(reason) => Ok(reason),
        Err(queue::QueueError::Store(error)) => Err(error.into()),
        Err(error) => Err(WebError::internal(&error)),
    }
}
