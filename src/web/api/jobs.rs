//! `GET /api/v1/jobs` and `GET /api/v1/jobs/{id}`.
use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job_json;
use crate::model::job::Status;
use crate::model::{Action, JobId};
use crate::queue;
use crate::store::job_list::{self, Filter};
use crate::store::{cache_uses, config_commits, job_limits, registry, steps};
use crate::trigger::no_workspace;
use crate::web::access;
use crate::web::cursor::Cursors;
use crate::web::error::{Answer, WebError};
use crate::web::query::{Query, page_limit, text, word};
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// Which jobs; every condition that is given must hold.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct ListQuery {
    /// Only of the pipeline of this name.
    pipeline: Option<String>,
    /// Only in this status.
    #[schemars(with = "Option<Status>")]
    status: Option<String>,
    /// Only of this branch.
    branch: Option<String>,
    /// Only of this commit: 40 hex digits.
    commit: Option<String>,
    /// Only started by this person, token or part of Danube, as `actor` says it.
    actor: Option<String>,
    /// Only made at this time or later, as `2026-05-04T10:00:00Z`.
    #[schemars(with = "Option<Timestamp>")]
    since: Option<String>,
    /// Jobs in an answer at most.
    #[serde(skip_serializing)]
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// Where to go on: `next` of the answer before.
    #[serde(skip_serializing)]
    cursor: Option<String>,
}

/// One page of a list of jobs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "JobPage")]
pub(in crate::web) struct List<'a> {
    /// Newest first.
    jobs: Vec<job_json::Job<'a>>,
    /// The cursor of the next page; none: this is the last.
    next: Option<String>,
}

/// A job with its steps.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "JobDetails")]
pub(in crate::web) struct Details<'a> {
    #[serde(flatten)]
    job: job_json::Job<'a>,
    steps: Vec<job_json::Step<'a>>,
    /// What steps found of their caches, and left.
    caches: Vec<super::caches::CacheUse<'a>>,
    /// The images that it pushed to the registry beside the server.
    images: Vec<job_json::PushedImage<'a>>,
    /// Why a pending job does not run yet.
    waiting: Option<String>,
    /// Of an ended job: whether it can be run again from where it stopped.
    rerun_from_failed: Option<job_json::FromFailed>,
    /// The size of its workspace, once its place on the machine is made.
    workspace: Option<job_json::Workspace>,
}

/// Newest first; `next` is the cursor of the next page.
pub(in crate::web) async fn list(
    State(app): State<AppState>,
    visitor: Visitor,
    Query(query): Query<ListQuery>,
) -> Answer {
    let list = Cursors::of("jobs", &query);
    let before = list.read(query.cursor.as_deref())?;
    let limit = page_limit(query.limit)?;
    let status = word::<Status>(query.status)?;
    let since = word::<Timestamp>(query.since)?;
    let pipelines = match text(query.pipeline) {
        Some(name) => {
            let (_read, row) = access::pipeline(&app, &visitor, name, Action::ReadPipeline).await?;
            Some(vec![row.id])
        }
        None => access::listed(&visitor),
    };
    let filter = Filter {
        pipelines,
        status,
        branch: text(query.branch),
        commit: text(query.commit),
        actor: text(query.actor),
        since,
        before,
        limit,
    };
    let rows = app.store.read(move |view| job_list::page(view, &filter)).await?;
    let full = rows.len() == limit as usize;
    let next = rows.last().filter(|_| full).map(|row| list.write(&row.id));
    Ok(Json(List { jobs: rows.iter().map(job_json::job).collect(), next }).into_response())
}

/// A job with its steps; `waiting` says why a pending one does not run yet.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor, Path(name): Path<String>) -> Answer {
    let (_read, job) = access::job(&app, &visitor, &name, Action::ReadPipeline).await?;
    let id = job.id;
    let ended = job.status.is_terminal().then(|| job.clone());
    let read = app.store.read(move |view| {
        let why = ended.map(|job| no_workspace(view, &job)).transpose()?;
        let seen = (cache_uses::of_job(view, id)?, registry::of_job(view, id)?);
        Ok((steps::of_job(view, id)?, seen, why, job_limits::find(view, id)?))
    });
    let (rows, (used, pushed), why, limits) = read.await?;
    let waiting = if job.status == Status::Pending { waiting(&app, id).await? } else { None };
    let rerun_from_failed = why.map(job_json::from_failed);
    let details = Details {
        job: job_json::job(&job),
        steps: job_json::steps(&rows),
        caches: super::caches::uses(&rows, &used),
        images: pushed.iter().map(job_json::pushed).collect(),
        waiting,
        rerun_from_failed,
        workspace: limits.as_ref().map(job_json::workspace),
    };
    Ok(Json(details).into_response())
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
