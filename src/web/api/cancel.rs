//! `POST /api/v1/jobs/{id}/cancel`.
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;

use crate::auth::{Authorized, noted};
use crate::model::{Action, JobId};
use crate::queue::{self, Cancelled};
use crate::store::{Durability, JobRow};
use crate::web::access;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// What a wish to stop a job came to.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CancelOutcome")]
pub(in crate::web) struct Outcome {
    id: JobId,
    /// `cancelled`, `stopping`, `already ending as …` (its end was decided before), or `already …`.
    outcome: String,
}

/// Asks for the end of a job. Asking twice, or for one that has ended, is no error and changes nothing.
pub(in crate::web) async fn cancel(State(app): State<AppState>, visitor: Visitor, Path(name): Path<String>) -> Answer {
    let (authorized, job) = access::job(&app, &visitor, &name, Action::Cancel).await?;
    let id = job.id;
    let (status, outcome) = match cancel_job(&app, authorized, job).await? {
        Cancelled::AtOnce => (StatusCode::OK, "cancelled".to_owned()),
        Cancelled::Requested | Cancelled::AlreadyRequested => (StatusCode::ACCEPTED, "stopping".to_owned()),
        Cancelled::AlreadyDecided(status) => (StatusCode::OK, format!("already ending as {status}")),
        Cancelled::AlreadyEnded(status) => (StatusCode::OK, format!("already {status}")),
    };
    Ok((status, Json(Outcome { id, outcome })).into_response())
}

/// Cancels and notes who did, in one transaction.
pub(in crate::web) async fn cancel_job(app: &AppState, authorized: Authorized, job: JobRow) -> Answer<Cancelled> {
    let done = app.store.write("web.cancel", Durability::Acknowledged, move |tx| {
        let cancelled = queue::cancel_in(tx, job.id, authorized.principal())?;
        if matches!(cancelled, Cancelled::AtOnce | Cancelled::Requested) {
            noted(tx, &authorized, &job.label(), "")?;
        }
        Ok(cancelled)
    });
    Ok(done.await?)
}
