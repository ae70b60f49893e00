//! `/`: what is red, what runs, what waits and why.
use askama::Template;
use axum::extract::State;

use super::render;
use crate::model::PipelineId;
use crate::model::job::Status;
use crate::store::JobRow;
use crate::store::job_list::{self, Filter};
use crate::web::access;
use crate::web::api;
use crate::web::error::Answer;
use crate::web::parts::{Chrome, PipelineLine, chrome, lines};
use crate::web::state::AppState;
use crate::web::view::{JobLine, job_line};
use crate::web::visitor::Visitor;

/// Jobs of each kind that are listed.
const LISTED: u32 = 20;
/// Waiting jobs whose reason is asked for.
const EXPLAINED: usize = 10;

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Page {
    chrome: Chrome,
    summary: String,
    failed: Vec<JobLine>,
    running: Vec<JobLine>,
    waiting: Vec<JobLine>,
    pipelines: Vec<PipelineLine>,
    recent: Vec<JobLine>,
}

/// The start page.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor) -> Answer {
    let now = app.now();
    let rows = access::readable(&app, &visitor).await?;
    let scope = access::listed(&visitor);
    let running = jobs(&app, scope.clone(), Some(Status::Running), LISTED).await?;
    let pending = jobs(&app, scope.clone(), Some(Status::Pending), LISTED).await?;
    let recent = jobs(&app, scope, None, LISTED).await?;
    let mut waiting = Vec::new();
    for (place, job) in pending.iter().rev().enumerate() {
        let why = if place < EXPLAINED { api::jobs::waiting(&app, job.id).await? } else { None };
        waiting.push(job_line(job, why, now));
    }
    let pipelines = lines(&app, rows, now).await?;
    let failed: Vec<JobLine> = pipelines.iter().filter_map(|line| line.red.clone()).collect();
    let line = |job: &JobRow| job_line(job, None, now);
    let summary = format!("{} running · {} waiting · {} red", running.len(), waiting.len(), failed.len());
    let page = Page {
        chrome: chrome(&app, &visitor, "now").await?,
        summary,
        failed,
        running: running.iter().map(line).collect(),
        waiting,
        pipelines,
        recent: recent.iter().filter(|job| job.status.is_terminal()).take(10).map(line).collect(),
    };
    render(&page)
}

async fn jobs(
    app: &AppState,
    pipelines: Option<Vec<PipelineId>>,
    status: Option<Status>,
    limit: u32,
) -> Answer<Vec<JobRow>> {
    let filter = Filter { pipelines, status, limit, ..Filter::default() };
    Ok(app.store.read(move |view| job_list::page(view, &filter)).await?)
}
