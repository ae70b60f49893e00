//! `GET /api/v1/jobs/{id}/summary`: why a job is red, slow or waiting, short and for machines.
use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;

use crate::model::Action;
use crate::web::access;
use crate::web::error::Answer;
use crate::web::explain::{explain, gather};
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// The explanation of a job.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor, Path(name): Path<String>) -> Answer {
    let (_read, job) = access::job(&app, &visitor, &name, Action::ReadPipeline).await?;
    let evidence = gather(&app, &visitor, job).await?;
    Ok(Json(explain(&evidence)).into_response())
}
