//! `GET /api/v1/jobs/{id}/attestation`.
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;

use crate::model::Action;
use crate::store::attestations;
use crate::web::access;
use crate::web::error::{Answer, WebError};
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// The signed statement, as it was signed: one DSSE envelope.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor, Path(name): Path<String>) -> Answer {
    let (_read, job) = access::job(&app, &visitor, &name, Action::ReadPipeline).await?;
    let id = job.id;
    let row = app.store.read(move |view| attestations::find(view, id)).await?;
    let row = row.ok_or_else(|| {
        let when = if job.status.is_terminal() { "is being signed" } else { "is signed when the job ends" };
        WebError::new(StatusCode::NOT_FOUND, "Not signed yet", format!("The record of {} {when}.", job.label()))
    })?;
    let name: String =
        job.pipeline_name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    let file = format!("attachment; filename=\"{name}-{}.intoto.json\"", job.number);
    let about = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CONTENT_DISPOSITION, HeaderValue::try_from(file).unwrap_or(HeaderValue::from_static("attachment"))),
    ];
    Ok((about, row.envelope).into_response())
}
