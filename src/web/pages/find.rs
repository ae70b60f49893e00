//! `/find`: from what somebody has in hand (a job's name, a commit, part of a pipeline's name) to its page.
use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

use super::render;
use crate::model::Action;
use crate::store::job_list;
use crate::web::access;
use crate::web::error::Answer;
use crate::web::parts::{Chrome, chrome};
use crate::web::state::AppState;
use crate::web::view::{JobLine, job_line, pipeline_href};
use crate::web::visitor::Visitor;

/// Characters of a question that are read.
const LONGEST: usize = 200;
/// Pipelines that are listed.
const LISTED: usize = 50;
/// Digits of a commit that tell it apart.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=64;

struct Pipeline {
    href: String,
    name: String,
}

#[derive(Template)]
#[template(path = "find.html", config = "templates/askama.toml")]
struct Page {
    chrome: Chrome,
    asked: String,
    jobs: Vec<JobLine>,
    pipelines: Vec<Pipeline>,
}

/// The question.
#[derive(Deserialize)]
pub(in crate::web) struct Asked {
    #[serde(default)]
    q: String,
}

/// Leads to the one thing that is meant, or lists what may be.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor, Query(asked): Query<Asked>) -> Answer {
    let asked: String = asked.q.trim().chars().take(LONGEST).collect();
    match access::job(&app, &visitor, &asked, Action::ReadPipeline).await {
        Ok((_read, job)) => return Ok(Redirect::to(&format!("/jobs/{}", job.id)).into_response()),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    let jobs = of_commit(&app, &visitor, &asked).await?;
    let pipelines = if asked.is_empty() { Vec::new() } else { named(&app, &visitor, &asked).await? };
    let only = match (&jobs[..], &pipelines[..]) {
        ([job], []) => Some(&job.href),
        ([], [pipeline]) => Some(&pipeline.href),
        _ => None,
    };
    if let Some(href) = only {
        return Ok(Redirect::to(href).into_response());
    }
    render(&Page { chrome: chrome(&app, &visitor, "find").await?, asked, jobs, pipelines })
}

async fn of_commit(app: &AppState, visitor: &Visitor, asked: &str) -> Answer<Vec<JobLine>> {
    let start = asked.to_ascii_lowercase();
    if !DIGITS.contains(&start.len()) || !start.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(Vec::new());
    }
    let rows = app.store.read(move |view| job_list::of_commit(view, &start)).await?;
    let now = app.now();
    let seen = rows.iter().filter(|job| access::may(visitor, Action::ReadPipeline(job.pipeline_id)));
    Ok(seen.map(|job| job_line(job, None, now)).collect())
}

/// A pipeline of exactly that name, else those that have it in their names.
async fn named(app: &AppState, visitor: &Visitor, asked: &str) -> Answer<Vec<Pipeline>> {
    let rows = access::readable(app, visitor).await?;
    let wanted = asked.to_lowercase();
    let exact = rows.iter().any(|row| row.name == asked);
    let fits = |name: &str| if exact { name == asked } else { name.to_lowercase().contains(&wanted) };
    let found = rows.into_iter().filter(|row| fits(&row.name)).take(LISTED);
    Ok(found.map(|row| Pipeline { href: pipeline_href(&row.name), name: row.name }).collect())
}
