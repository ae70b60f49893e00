//! `GET /api/v1/pipelines/{name}`: a pipeline and how it has fared lately.
use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::job_json;
use crate::model::job::Status;
use crate::model::param::ParamType;
use crate::model::settings::{Param, TriggerRule};
use crate::model::{Action, JobId, PipelineId};
use crate::store::JobRow;
use crate::store::job_list::{self, Filter};
use crate::web::access;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// Jobs that count as lately.
const LATELY: u32 = 30;

/// A pipeline with its health.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PipelineDetails")]
pub(in crate::web) struct Details<'a> {
    id: PipelineId,
    name: &'a str,
    /// The owning team.
    team: &'a str,
    repository: &'a str,
    /// It is in the configuration in force.
    active: bool,
    /// The danubefile's path in the repository.
    script: String,
    max_duration_seconds: u64,
    /// What starts it.
    triggers: Vec<TriggerRule>,
    /// Globs over branches; none: every branch.
    branch_filter: Vec<String>,
    /// Globs over changed files; none: every push.
    paths: Vec<String>,
    /// What a start may say.
    params: Vec<StartParam>,
    last_job: Option<job_json::Job<'a>>,
    health: Health,
}

/// A param as a form or a client needs it: every field is there.
#[derive(Serialize, JsonSchema)]
struct StartParam {
    /// The key in `ctx.params`.
    name: String,
    /// What values it takes.
    #[serde(rename = "type")]
    kind: ParamType,
    /// The values of a choice; empty for every other type.
    choices: Vec<String>,
    /// The value where none is given; none exactly where one must be given.
    default: Option<String>,
    /// A start must give a value.
    required: bool,
    /// What it is for, for people.
    description: String,
}

impl From<Param> for StartParam {
    fn from(param: Param) -> Self {
        Self {
            required: param.is_required(),
            name: param.name,
            kind: param.kind,
            choices: param.choices,
            default: param.default,
            description: param.description,
        }
    }
}

/// How a pipeline has fared in its newest jobs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PipelineHealth")]
struct Health {
    /// Jobs that ended, among the newest 30.
    ended: u32,
    /// Those that ended well.
    succeeded: u32,
    /// The middle one of the seconds that a green job ran.
    median_seconds: Option<f64>,
    last_success_at: Option<Timestamp>,
    /// The newest 30 jobs, newest first.
    recent: Vec<Recent>,
}

/// A job among the newest.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RecentJob")]
struct Recent {
    id: JobId,
    number: u64,
    status: Status,
    /// Seconds that it ran.
    seconds: Option<f64>,
}

/// A pipeline, also one that is no longer in force.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor, Path(name): Path<String>) -> Answer {
    let (_read, row) = access::pipeline(&app, &visitor, name, Action::ReadPipeline).await?;
    let id = row.id;
    let filter = Filter { pipelines: Some(vec![id]), limit: LATELY, ..Filter::default() };
    let jobs = app.store.read(move |view| job_list::page(view, &filter)).await?;
    let document = row.pipeline()?;
    let details = Details {
        id,
        name: &row.name,
        team: &row.team,
        repository: &row.repository,
        active: row.active,
        script: document.script,
        max_duration_seconds: document.max_duration_seconds,
        triggers: document.triggers,
        branch_filter: document.branch_filter,
        paths: document.paths,
        params: document.params.into_iter().map(StartParam::from).collect(),
        last_job: jobs.first().map(job_json::job),
        health: health(&jobs),
    };
    Ok(Json(details).into_response())
}

fn health(jobs: &[JobRow]) -> Health {
    let ended = jobs.iter().filter(|job| job.status.is_terminal()).count();
    let green: Vec<&JobRow> = jobs.iter().filter(|job| job.status == Status::Success).collect();
    let mut times: Vec<f64> = green.iter().filter_map(|job| seconds(job)).collect();
    times.sort_by(f64::total_cmp);
    let recent = |job: &JobRow| Recent { id: job.id, number: job.number, status: job.status, seconds: seconds(job) };
    Health {
        ended: u32::try_from(ended).unwrap_or(LATELY),
        succeeded: u32::try_from(green.len()).unwrap_or(LATELY),
        median_seconds: times.get(times.len() / 2).copied(),
        last_success_at: green.first().and_then(|job| job.finished_at),
        recent: jobs.iter().map(recent).collect(),
    }
}

fn seconds(job: &JobRow) -> Option<f64> {
    let (from, to) = (job.started_at?, job.finished_at?);
    let millis = i32::try_from((to.as_millisecond() - from.as_millisecond()).max(0)).unwrap_or(i32::MAX);
    Some(f64::from(millis) / 1000.0)
}
