//! `POST /api/v1/jobs/{id}/rerun`.
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use super::body::object;
use super::trigger::{refusal, started};
use crate::auth::{Authorized, noted};
use crate::model::{Action, JobId};
use crate::store::{Durability, JobRow};
use crate::trigger::{Rerun, RerunFrom, TriggerError, rerun_in};
use crate::web::access;
use crate::web::error::{Answer, WebError};
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// Where it begins; nothing: at the start.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RerunRequest")]
pub(in crate::web) struct Request {
    /// The place.
    #[serde(default)]
    from: From,
}

/// The places that a job can be run again from.
#[derive(Default, Deserialize, JsonSchema)]
#[schemars(rename = "RerunFrom")]
#[serde(rename_all = "lowercase")]
enum From {
    /// All of it.
    #[default]
    Start,
    /// Where the job stopped: in the workspace that it left, with the steps that had ended well. The new job's record is
    /// no provenance.
    Failed,
}

/// Runs an ended job again: 201 with the new job.
pub(in crate::web) async fn rerun(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let (authorized, job) = access::job(&app, &visitor, &name, Action::Rerun).await?;
    let Request { from } = if body.is_empty() { Request::default() } else { object(&headers, &body)? };
    let from = match from {
        From::Start => RerunFrom::Start,
        From::Failed => RerunFrom::Failed,
    };
    let id = rerun_job(&app, authorized, job, from).await?;
    started(&app, id).await
}

/// Makes the job and notes who asked, in one transaction.
pub(in crate::web) async fn rerun_job(
    app: &AppState,
    authorized: Authorized,
    job: JobRow,
    from: RerunFrom,
) -> Answer<JobId> {
    let made = app.store.write("web.rerun", Durability::Acknowledged, move |tx| {
        let made = rerun_in(tx, job.id, authorized.principal().clone(), from)?;
        if matches!(made, Rerun::Job(_)) {
            let place = match from {
                RerunFrom::Start => "from the start",
                RerunFrom::Failed => "from where it stopped",
            };
            noted(tx, &authorized, &job.label(), place)?;
        }
        Ok(made)
    });
    match made.await? {
        Rerun::Job(id) => Ok(id),
        Rerun::Refused(error @ TriggerError::NotEnded { .. }) => {
            Err(WebError::new(StatusCode::CONFLICT, "The job has not ended", error.to_string()))
        }
        Rerun::Refused(error @ TriggerError::NoWorkspace { .. }) => {
            Err(WebError::new(StatusCode::CONFLICT, "There is nothing to go on in", error.to_string()))
        }
        Rerun::Refused(error) => Err(refusal(error)),
    }
}
