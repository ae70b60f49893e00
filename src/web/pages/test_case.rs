//! `/pipelines/{name}/tests/{case}`: one test over time, and since when it fails.
use askama::Template;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::render;
use crate::model::Action;
use crate::store::test_history::{self, PastResultRow};
use crate::web::access;
use crate::web::error::{Answer, WebError};
use crate::web::parts::{Chrome, chrome};
use crate::web::state::AppState;
use crate::web::view::{Dots, When, dots, pipeline_href, seconds, when};
use crate::web::visitor::Visitor;

const PAGE: u32 = 50;

struct Line {
    href: String,
    number: u64,
    class: &'static str,
    word: &'static str,
    branch: String,
    commit: String,
    at: When,
    took: String,
    message: Option<String>,
}

#[derive(Template)]
#[template(path = "test_case.html", config = "templates/askama.toml")]
struct Page {
    chrome: Chrome,
    pipeline: String,
    pipeline_href: String,
    suite: String,
    name: String,
    report: String,
    dots: Dots,
    since: Option<Line>,
    results: Vec<Line>,
    older: Option<String>,
}

/// Where the list goes on.
#[derive(Deserialize)]
pub(in crate::web) struct Look {
    before: Option<i64>,
}

/// A test of a pipeline.
pub(in crate::web) async fn show(
    State(app): State<AppState>,
    visitor: Visitor,
    Path((name, case)): Path<(String, String)>,
    Query(look): Query<Look>,
) -> Answer {
    let (_read, row) = access::pipeline(&app, &visitor, name, Action::ReadPipeline).await?;
    let id: i64 = case.parse().map_err(|_| WebError::not_found())?;
    let before = look.before;
    let found = app
        .store
        .read(move |view| {
            let Some(case) = test_history::find(view, row.id, id)? else { return Ok(None) };
            let past = test_history::of_case(view, id, before, PAGE)?;
            Ok(Some((case, past, test_history::failing_since(view, id)?)))
        })
        .await?;
    let (case, past, since) = found.ok_or_else(WebError::not_found)?;
    let now = app.now();
    let href = pipeline_href(&row.name);
    let line = |result: &PastResultRow| {
        let (class, word) = match (result.status.is_bad(), result.flaky) {
            (true, true) => ("failure", "failed, flaky"),
            (true, false) => ("failure", "failed"),
            (false, true) => ("running flaky", "passed, flaky"),
            (false, false) if result.status.as_str() == "skipped" => ("skipped", "skipped"),
            (false, false) => ("success", "passed"),
        };
        Line {
            href: format!("/jobs/{}/tests", result.job_id),
            number: result.number,
            class,
            word,
            branch: result.branch.clone(),
            commit: result.commit_sha.chars().take(8).collect(),
            at: when(result.created_at, now),
            took: seconds(result.millis),
            message: result.message.clone(),
        }
    };
    let full = past.len() == PAGE as usize;
    let page = Page {
        chrome: chrome(&app, &visitor, "pipelines").await?,
        older: past.last().filter(|_| full).map(|row| format!("{href}/tests/{id}?before={}", row.report_id)),
        dots: dots(&past),
        since: since.as_ref().map(line),
        results: past.iter().map(line).collect(),
        suite: case.suite,
        name: case.name,
        report: case.report,
        pipeline: row.name,
        pipeline_href: href,
    };
    render(&page)
}
