//! `/pipelines/{name}`: how it does in one picture, its jobs, and a form to run it.
use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

use super::render;
use crate::model::job::Status;
use crate::model::settings::{Param, ParamType, Pipeline, TriggerRule};
use crate::model::{Action, JobId};
use crate::store::job_list::{self, Filter};
use crate::store::{CacheRow, JobHead, caches, job_heads};
use crate::web::access;
use crate::web::api;
use crate::web::api::trigger::{self, Request};
use crate::web::error::{Answer, WebError};
use crate::web::parts::{Chrome, chrome, next_tick};
use crate::web::state::AppState;
use crate::web::view::{
    JobLine, Pager, Plot, Tab, When, address, job_line, pipeline_href, plot, queued, rate, size, usual, when,
};
use crate::web::visitor::Visitor;

/// Jobs of one page of the history.
const PAGE: u32 = 40;
/// Jobs that the picture, the figures and the branches are of.
const LOOKED_AT: u32 = 120;
/// Branches that are listed.
const BRANCHES: usize = 12;
/// Names of caches that are listed.
const CACHES: usize = 50;
/// Bars of the picture, and of the one for a phone, with their widths.
const WIDE: (usize, i64) = (60, 960);
const NARROW: (usize, i64) = (20, 340);
/// Characters of a branch that are read.
const LONGEST: usize = 255;

/// A branch with its newest job.
struct Branch {
    name: String,
    href: String,
    status: &'static str,
    job: String,
    at: When,
}

/// Everything that is stored under one name.
struct Cache {
    name: String,
    /// `2 contents`, where there are several.
    contents: Option<String>,
    size: String,
    used: When,
}

/// A job that can be cancelled.
struct Live {
    job: JobLine,
    cancel: Option<String>,
}

#[derive(Template)]
#[template(path = "pipeline.html", config = "templates/askama.toml")]
struct Page {
    chrome: Chrome,
    name: String,
    href: String,
    active: bool,
    last: Option<(&'static str, String)>,
    plots: Vec<Plot>,
    rate: Option<String>,
    usual: String,
    queued: String,
    last_green: Option<When>,
    next: Option<When>,
    may_trigger: bool,
    branch: String,
    params: Vec<Param>,
    repository: String,
    script: String,
    team: String,
    triggers: String,
    limit: String,
    branches: Vec<Branch>,
    caches: Vec<Cache>,
    caches_size: String,
    /// Where a cache's deletion is sent, if this visitor may.
    caches_delete: Option<String>,
    live: Vec<Live>,
    states: Vec<Tab>,
    asked_branch: String,
    asked_status: &'static str,
    jobs: Vec<JobLine>,
    pager: Pager,
}

/// The cut of the history.
#[derive(Default, Deserialize)]
pub(in crate::web) struct Cut {
    #[serde(default)]
    status: String,
    #[serde(default)]
    branch: String,
    #[serde(default)]
    cursor: String,
}

impl Cut {
    fn address(&self, href: &str, status: &str, cursor: &str) -> String {
        address(href, &[("branch", &self.branch), ("status", status), ("cursor", cursor)])
    }
}

/// A pipeline with its newest jobs.
pub(in crate::web) async fn show(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(cut): Query<Cut>,
) -> Answer {
    let (_read, row) = access::pipeline(&app, &visitor, name, Action::ReadPipeline).await?;
    let cut = Cut { branch: cut.branch.trim().chars().take(LONGEST).collect(), ..cut };
    let status = match cut.status.as_str() {
        "" => None,
        word => Some(word.parse::<Status>().map_err(|e| WebError::bad_request(e.to_string()))?),
    };
    let before = match cut.cursor.as_str() {
        "" => None,
        text => Some(text.parse::<JobId>().map_err(|_| {
            WebError::bad_request("the cursor is none of this list; go back to its beginning and on from there")
        })?),
    };
    let id = row.id;
    let branch = Some(cut.branch.clone()).filter(|branch| !branch.is_empty());
    let read = app.store.read(move |view| {
        let page = |status, branch, before, limit| {
            job_list::page(
                view,
                &Filter { pipelines: Some(vec![id]), status, branch, before, limit, ..Filter::default() },
            )
        };
        let mut live = page(Some(Status::Running), None, None, 10)?;
        live.extend(page(Some(Status::Pending), None, None, 10)?);
        let heads = job_heads::newest(view, id, LOOKED_AT)?;
        let caches = caches::of_pipeline(view, id)?;
        Ok((heads, job_heads::last_green(view, id)?, live, page(status, branch, before, PAGE)?, caches))
    });
    let (heads, green, live, jobs, caches) = read.await?;
    let document = row.pipeline()?;
    let now = app.now();
    let href = pipeline_href(&row.name);
    let next = jobs.last().filter(|_| jobs.len() == PAGE as usize).map(|job| job.id.to_string());
    let word = status.map_or("", Status::as_str);
    let may_cancel = access::may(&visitor, Action::Cancel(id));
    let page = Page {
        chrome: chrome(&app, &visitor, "pipelines").await?,
        active: row.active,
        last: heads.first().map(|job| (job.status.as_str(), format!("/jobs/{}", job.id))),
        plots: [WIDE, NARROW].map(|(count, width)| plot(&heads, count, width, now)).into(),
        rate: rate(&heads),
        usual: usual(&heads),
        queued: queued(&heads),
        last_green: green.map(|job| when(job.finished_at.unwrap_or(job.created_at), now)),
        next: next_tick(&document, now).map(|at| when(at, now)),
        may_trigger: row.active && access::may(&visitor, Action::Trigger(id)),
        branch: usual_branch(&heads),
        branches: branches(&heads, &href, now),
        caches_size: size(caches.iter().map(|row| row.bytes).sum()),
        caches_delete: access::may(&visitor, Action::ManageCaches(id)).then(|| format!("{href}/caches/delete")),
        caches: by_name(&caches, now),
        live: live
            .iter()
            .map(|job| Live {
                cancel: may_cancel.then(|| format!("/jobs/{}/cancel", job.id)),
                job: job_line(job, None, now),
            })
            .collect(),
        states: states(&cut, &href, word),
        pager: Pager {
            first: before.map(|_| cut.address(&href, word, "")),
            next: next.map(|cursor| cut.address(&href, word, &cursor)),
            label: "Older jobs",
        },
        asked_branch: cut.branch,
        asked_status: word,
        triggers: triggers(&document),
        limit: format!("{} min", document.max_duration_seconds.div_ceil(60)),
        jobs: jobs.iter().map(|job| job_line(job, None, now)).collect(),
        params: document.params,
        script: document.script,
        repository: row.repository,
        team: row.team,
        name: row.name,
        href,
    };
    render(&page)
}

/// What stands before a param's name in the form, so that no param is taken for a field of ours.
const PARAM: &str = "param.";

/// What the form sends: an empty field is not given, and the param has its default.
fn asked(fields: Vec<(String, String)>) -> Request {
    let mut request = Request::default();
    for (name, value) in fields {
        let given = Some(value.trim().to_owned()).filter(|text| !text.is_empty());
        match (name.as_str(), name.strip_prefix(PARAM)) {
            ("branch", _) => request.branch = given,
            ("commit", _) => request.commit = given,
            (_, Some(param)) if !value.is_empty() => drop(request.params.insert(param.to_owned(), value)),
            _ => {}
        }
    }
    request
}

/// Starts a job and shows it.
pub(in crate::web) async fn run(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Answer {
    let (authorized, row) = access::pipeline(&app, &visitor, name, Action::Trigger).await?;
    let id = trigger::start(&app, &visitor, authorized, &row, asked(fields)).await?;
    Ok(Redirect::to(&format!("/jobs/{id}")).into_response())
}

/// What the button beside a cache sends.
#[derive(Deserialize)]
pub(in crate::web) struct Which {
    cache: String,
}

/// Deletes what is stored under a name, and shows the pipeline.
pub(in crate::web) async fn delete_cache(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(which): Form<Which>,
) -> Answer {
    let (authorized, row) = access::pipeline(&app, &visitor, name, Action::ManageCaches).await?;
    api::caches::remove(&app, authorized, &row, Some(which.cache), None).await?;
    Ok(Redirect::to(&format!("{}#caches", pipeline_href(&row.name))).into_response())
}

/// The caches, each name once.
fn by_name(rows: &[CacheRow], now: jiff::Timestamp) -> Vec<Cache> {
    rows.chunk_by(|one, next| one.name == next.name)
        .take(CACHES)
        .map(|rows| Cache {
            name: rows[0].name.clone(),
            contents: (rows.len() > 1).then(|| format!("{} contents", rows.len())),
            size: size(rows.iter().map(|row| row.bytes).sum()),
            used: when(rows.iter().map(|row| row.last_used_at).max().unwrap_or(now), now),
        })
        .collect()
}

fn states(cut: &Cut, href: &str, here: &str) -> Vec<Tab> {
    let words = std::iter::once("").chain(Status::ALL.iter().rev().map(|status| status.as_str()));
    words
        .map(|word| Tab {
            href: cut.address(href, word, ""),
            name: if word.is_empty() { "all".to_owned() } else { word.to_owned() },
            here: word == here,
        })
        .collect()
}

/// The branch that is built most: what the form offers.
fn usual_branch(heads: &[JobHead]) -> String {
    let count = |name: &str| heads.iter().filter(|job| job.pull_request.is_none() && job.branch == name).count();
    let most = heads.iter().filter(|job| job.pull_request.is_none()).max_by_key(|job| (count(&job.branch), job.id));
    most.map_or_else(|| "main".to_owned(), |job| job.branch.clone())
}

/// The branches that were built lately, each with its newest job.
fn branches(heads: &[JobHead], href: &str, now: jiff::Timestamp) -> Vec<Branch> {
    let mut seen: Vec<Branch> = Vec::new();
    for job in heads.iter().filter(|job| job.tag.is_none()) {
        if seen.len() == BRANCHES {
            break;
        }
        if seen.iter().any(|branch| branch.name == job.branch) {
            continue;
        }
        seen.push(Branch {
            name: job.branch.clone(),
            href: address(href, &[("branch", &job.branch)]),
            status: job.status.as_str(),
            job: format!("/jobs/{}", job.id),
            at: when(job.finished_at.or(job.started_at).unwrap_or(job.created_at), now),
        });
    }
    seen
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
