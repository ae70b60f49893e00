//! `POST /api/v1/pipelines/{name}/trigger`.
use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::body::object;
use crate::auth::{Authorized, noted};
use crate::model::job::Status;
use crate::model::param::{MAX_PARAMS, MAX_VALUE};
use crate::model::{Action, JobId, PipelineId};
use crate::store::pipelines::PipelineRow;
use crate::store::{Durability, jobs};
use crate::trigger::{Ask, Target, TriggerError, manual};
use crate::web::access;
use crate::web::error::{Answer, WebError};
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// What is asked for; nothing: the default branch.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TriggerRequest")]
pub(in crate::web) struct Request {
    /// Its newest commit; nothing: of the default branch.
    #[serde(default)]
    pub(in crate::web) branch: Option<String>,
    /// Exactly this commit: hex digits, whole or a unique start.
    #[serde(default)]
    pub(in crate::web) commit: Option<String>,
    /// What the danubefile reads as `ctx.params`; numbers and booleans are recorded as text.
    #[serde(default, deserialize_with = "texts")]
    #[schemars(with = "BTreeMap<String, Given>")]
    pub(in crate::web) params: BTreeMap<String, String>,
}

/// A value of `params` as it may stand in JSON; it is recorded as text.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a value of params is text, a whole number, true or false")]
#[schemars(rename = "ParamValue")]
enum Given {
    Text(String),
    Integer(i64),
    Boolean(bool),
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let given = BTreeMap::<String, Given>::deserialize(deserializer)?;
    let text = |value| match value {
        Given::Text(text) => text,
        Given::Integer(number) => number.to_string(),
        Given::Boolean(yes) => yes.to_string(),
    };
    Ok(given.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// A new job.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StartedJob")]
pub(in crate::web) struct Started {
    id: JobId,
    pipeline: String,
    number: u64,
    status: Status,
    commit: String,
    branch: String,
}

/// Starts a job: 201 with its id and number.
pub(in crate::web) async fn trigger(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let (authorized, row) = access::pipeline(&app, &visitor, name, Action::Trigger).await?;
    let request = if body.is_empty() { Request::default() } else { object(&headers, &body)? };
    let id = start(&app, &visitor, authorized, &row, request).await?;
    started(&app, id).await
}

/// What a client gets for a job that it made.
pub(super) async fn started(app: &AppState, id: JobId) -> Answer {
    let job = app.store.read(move |view| jobs::get(view, id)).await?;
    let answer = Started {
        id,
        pipeline: job.pipeline_name,
        number: job.number,
        status: job.status,
        commit: job.commit_sha,
        branch: job.branch,
    };
    Ok((StatusCode::CREATED, [(header::LOCATION, format!("/api/v1/jobs/{id}"))], Json(answer)).into_response())
}

/// Notes the wish, then starts the job: what is not in the audit log was not asked for.
pub(in crate::web) async fn start(
    app: &AppState,
    visitor: &Visitor,
    authorized: Authorized,
    pipeline: &PipelineRow,
    request: Request,
) -> Answer<JobId> {
    check(&request)?;
    let target = match (request.commit, request.branch) {
        (Some(commit), _) => Target::Commit(commit),
        (None, Some(branch)) => Target::Branch(branch),
        (None, None) => Target::Default,
    };
    let ask = Ask {
        pipeline: pipeline.id,
        target,
        trigger: visitor.trigger(),
        actor: authorized.principal().clone(),
        params: request.params,
    };
    note(app, authorized, pipeline.id, &pipeline.name, format!("{:?}", ask.target)).await?;
    manual(&app.trigger, ask, &app.stop).await.map_err(refusal)
}

async fn note(app: &AppState, by: Authorized, id: PipelineId, name: &str, detail: String) -> Answer<()> {
    debug_assert_eq!(by.action().pipeline(), Some(id));
    let name = name.to_owned();
    Ok(app.store.write("web.trigger", Durability::Acknowledged, move |tx| noted(tx, &by, &name, &detail)).await?)
}

fn check(request: &Request) -> Answer<()> {
    let params = &request.params;
    let long = |text: &String, most| text.is_empty() || text.len() > most || text.chars().any(char::is_control);
    if params.len() > MAX_PARAMS || params.iter().any(|(key, value)| long(key, 128) || value.len() > MAX_VALUE) {
        return Err(WebError::unprocessable("at most 64 params, with keys of 128 and values of 4,096 bytes"));
    }
    if request.branch.as_ref().is_some_and(|text| long(text, 255)) {
        return Err(WebError::unprocessable("a branch has 1 to 255 printable characters, without `refs/heads/`"));
    }
    let hex = |text: &String| (4..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    if request.commit.as_ref().is_some_and(|text| !hex(text)) {
        return Err(WebError::unprocessable("a commit is 40 hex digits, or a unique start of them"));
    }
    Ok(())
}

/// The problem that a refused start is told by.
pub(super) fn refusal(error: TriggerError) -> WebError {
    let status = match &error {
        TriggerError::Store(_) => return WebError::internal(&error),
        TriggerError::Draining => StatusCode::SERVICE_UNAVAILABLE,
        TriggerError::Inactive { .. } | TriggerError::NotEnded { .. } | TriggerError::NoWorkspace { .. } => {
            StatusCode::CONFLICT
        }
        TriggerError::OnNoBranch { .. }
        | TriggerError::NoDefaultBranch { .. }
        | TriggerError::Params(_)
        | TriggerError::OldParams { .. }
        | TriggerError::Mirror(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    WebError::new(status, "The job was not started", error.to_string())
}
