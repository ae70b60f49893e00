//! `/pipelines/{name}`: its jobs, and a form to run it.
use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

use super::render;
use crate::model::settings::{Pipeline, TriggerRule};
use crate::model::{Action, JobId};
use crate::store::job_list::{self, Filter};
use crate::web::access;
use crate::web::api::trigger::{self, Request};
use crate::web::error::{Answer, WebError};
use crate::web::parts::{Chrome, HISTORY, chrome};
use crate::web::state::AppState;
use crate::web::view::{Chart, JobLine, chart, job_line, pipeline_href, usual};
use crate::web::visitor::Visitor;

const PAGE: u32 = 50;

#[derive(Template)]
#[template(path = "pipeline.html")]
struct Page {
    chrome: Chrome,
    name: String,
    href: String,
    active: bool,
    last: Option<JobLine>,
    chart: Chart,
    may_trigger: bool,
    branch: String,
    repository: String,
    script: String,
    team: String,
    triggers: String,
    usual: String,
    limit: String,
    jobs: Vec<JobLine>,
    older: Option<String>,
}

/// Where the list goes on.
#[derive(Deserialize)]
pub(in crate::web) struct ListQuery {
    cursor: Option<String>,
}

/// A pipeline with its newest jobs.
pub(in crate::web) async fn show(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(query): Query<ListQuery>,
) -> Answer {
    let (_read, row) = access::pipeline(&app, &visitor, name, Action::ReadPipeline).await?;
    let before = match query.cursor {
        Some(text) => Some(text.parse::<JobId>().map_err(|_| WebError::not_found())?),
        None => None,
    };
    let id = row.id;
    let (newest, jobs) = app
        .store
        .read(move |view| {
            let page = |before, limit| {
                job_list::page(view, &Filter { pipelines: Some(vec![id]), before, limit, ..Filter::default() })
            };
            Ok((page(None, HISTORY)?, page(before, PAGE)?))
        })
        .await?;
    let document = row.pipeline()?;
    let now = app.now();
    let href = pipeline_href(&row.name);
    let full = jobs.len() == PAGE as usize;
    let older = jobs.last().filter(|_| full).map(|job| format!("{href}?cursor={}", job.id));
    let page = Page {
        chrome: chrome(&app, &visitor, "pipelines").await?,
        active: row.active,
        last: newest.first().map(|job| job_line(job, None, now)),
        chart: chart(&newest),
        may_trigger: row.active && access::may(&visitor, Action::Trigger(id)),
        branch: newest.first().map_or_else(|| "main".to_owned(), |job| job.branch.clone()),
        triggers: triggers(&document),
        usual: usual(&newest),
        limit: format!("{} min", document.max_duration_seconds.div_ceil(60)),
        jobs: jobs.iter().map(|job| job_line(job, None, now)).collect(),
        script: document.script,
        repository: row.repository,
        team: row.team,
        name: row.name,
        older,
        href,
    };
    render(&page)
}

/// What the form sends; empty fields are left out.
#[derive(Deserialize)]
pub(in crate::web) struct Fields {
    #[serde(default)]
    branch: String,
    #[serde(default)]
    commit: String,
}

/// Starts a job and shows it.
pub(in crate::web) async fn run(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(fields): Form<Fields>,
) -> Answer {
    let (authorized, row) = access::pipeline(&app, &visitor, name, Action::Trigger).await?;
    let given = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let request = Request { branch: given(fields.branch), commit: given(fields.commit), ..Request::default() };
    let id = trigger::start(&app, &visitor, authorized, &row, request).await?;
    Ok(Redirect::to(&format!("/jobs/{id}")).into_response())
}

fn triggers(document: &Pipeline) -> String {
    let words: Vec<String> = document
        .triggers
        .iter()
        .map(|rule| match rule {
            TriggerRule::Push => "push".to_owned(),
            TriggerRule::Tag => "tag".to_owned(),
            TriggerRule::PullRequest => "pull request".to_owned(),
            TriggerRule::Manual => "by hand".to_owned(),
            TriggerRule::Cron { schedule, timezone, branch } => {
                format!("{schedule} {} on {branch}", timezone.as_deref().unwrap_or("UTC"))
            }
        })
        .collect();
    if words.is_empty() { "–".to_owned() } else { words.join(", ") }
}
