//! `/`: what is red, what runs, what waits and why.
use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;

use crate::model::PipelineId;
use crate::model::job::Status;
use crate::store::JobRow;
use crate::store::job_list::{self, Filter};
use crate::web::access;
use crate::web::api;
use crate::web::error::Answer;
use crate::web::parts::{
    Chrome, PipelineLine, RedElsewhere, RedLine, Seen, chrome, lines, live, red_elsewhere, red_lines,
};
use crate::web::state::AppState;
use crate::web::view::{JobLine, Progress, job_line, progress};
use crate::web::visitor::Visitor;

/// Jobs of each kind that are listed.
const LISTED: u32 = 20;
/// Waiting jobs whose reason is asked for.
const EXPLAINED: usize = 10;
/// Pipelines that are looked at; beyond, the list of pipelines has them all.
const WATCHED: usize = 60;

/// A running job against its usual time.
struct Running {
    job: JobLine,
    progress: Option<Progress>,
}

#[derive(Template)]
#[template(path = "dashboard.html", config = "templates/askama.toml")]
struct Page {
    chrome: Chrome,
    tag: String,
    summary: String,
    red: Vec<RedLine>,
    elsewhere: RedElsewhere,
    running: Vec<Running>,
    waiting: Vec<JobLine>,
    pipelines: Vec<PipelineLine>,
    all_pipelines: usize,
    recent: Vec<JobLine>,
}

/// The start page.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor, headers: HeaderMap) -> Answer {
    let now = app.now();
    let mut rows = access::readable(&app, &visitor).await?;
    let all_pipelines = rows.len();
    rows.truncate(WATCHED);
    let pipelines = lines(&app, rows, now).await?;
    let red = red_lines(&app, &pipelines, now).await?;
    let elsewhere = red_elsewhere(&pipelines, red.len());
    let scope = access::listed(&visitor);
    let running = jobs(&app, scope.clone(), Some(Status::Running), LISTED).await?;
    let pending = jobs(&app, scope.clone(), Some(Status::Pending), LISTED).await?;
    let recent = jobs(&app, scope, None, LISTED).await?;
    let mut waiting = Vec::new();
    for (place, job) in pending.iter().rev().enumerate() {
        let why = if place < EXPLAINED { api::jobs::waiting(&app, job.id).await? } else { None };
        waiting.push(job_line(job, why, now));
    }
    let running: Vec<Running> = running
        .iter()
        .map(|job| {
            let usual = pipelines.iter().find(|line| line.id == job.pipeline_id).and_then(|line| line.usual_millis);
            Running { job: job_line(job, None, now), progress: job.started_at.map(|from| progress(from, now, usual)) }
        })
        .collect();
    let page = Page {
        chrome: chrome(&app, &visitor, "now").await?,
        tag: String::new(),
        summary: summary(red.len(), elsewhere.count, running.len(), waiting.len()),
        elsewhere,
        red,
        running,
        waiting,
        pipelines,
        all_pipelines,
        recent: recent
            .iter()
            .filter(|job| job.status.is_terminal())
            .take(10)
            .map(|job| job_line(job, None, now))
            .collect(),
    };
    let tag = page.tag();
    live(&Page { tag: tag.clone(), ..page }, &tag, &headers)
}

fn summary(red: usize, elsewhere: usize, running: usize, waiting: usize) -> String {
    let more = if elsewhere > 0 { format!(", {elsewhere} on other branches") } else { String::new() };
    format!("{red} red{more} · {running} running · {waiting} waiting")
}

impl Page {
    /// What tells one state of the page from another: all that is shown but the clocks, which go on by themselves.
    fn tag(&self) -> String {
        let mut seen = Seen::default();
        seen.note(&self.chrome.who);
        seen.note(self.chrome.banner.as_deref().unwrap_or_default());
        for red in &self.red {
            seen.job(&red.job);
            seen.note(&red.since);
        }
        seen.note(&self.elsewhere.sentence);
        self.elsewhere.named.iter().for_each(|(name, _)| seen.note(name));
        for running in &self.running {
            seen.job(&running.job);
            seen.note(running.progress.as_ref().map_or("", |progress| &progress.against));
        }
        self.waiting.iter().chain(&self.recent).for_each(|job| seen.job(job));
        for line in &self.pipelines {
            seen.note(&line.name);
            seen.note(line.last.as_ref().map_or("", |(status, _)| status));
            seen.note(&line.chart.label);
        }
        seen.tag()
    }
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
