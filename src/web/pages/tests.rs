//! `/jobs/{id}/tests`: what failed, then what is slow, then all of it; each test with its past.
use askama::Template;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::render;
use crate::model::Action;
use crate::store::test_history::of_case;
use crate::store::test_reports::{self, After, TestReportRow, TestResultRow};
use crate::store::{StoreError, View};
use crate::web::access;
use crate::web::api::Results;
use crate::web::error::Answer;
use crate::web::parts::{Chrome, chrome};
use crate::web::state::AppState;
use crate::web::view::{DOTS, Dots, TestLine, dots, pipeline_href, seconds, test_line};
use crate::web::visitor::Visitor;

const PAGE: u32 = 50;
const SLOWEST: u32 = 10;

struct Report {
    name: String,
    class: &'static str,
    total: u64,
    failed: u64,
    skipped: u64,
    newly_failing: u64,
    flaky: u64,
    took: String,
    log: Option<String>,
    notes: Vec<String>,
}

struct Choice {
    href: String,
    name: &'static str,
    here: bool,
}

#[derive(Template)]
#[template(path = "tests.html", config = "templates/askama.toml")]
struct Page {
    chrome: Chrome,
    pipeline: String,
    pipeline_href: String,
    number: u64,
    job_href: String,
    live: bool,
    reports: Vec<Report>,
    choices: Vec<Choice>,
    empty: &'static str,
    tests: Vec<TestLine>,
    more: Option<String>,
    slowest: Vec<TestLine>,
}

/// Which tests, and where the list goes on.
#[derive(Deserialize)]
pub(in crate::web) struct Look {
    show: Option<String>,
    cursor: Option<String>,
}

struct Found {
    reports: Vec<TestReportRow>,
    rows: Vec<(TestResultRow, Dots)>,
    slowest: Vec<TestResultRow>,
}

/// The tests of a job.
pub(in crate::web) async fn show(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(look): Query<Look>,
) -> Answer {
    let (_read, job) = access::job(&app, &visitor, &name, Action::ReadPipeline).await?;
    let (shown, places, empty): (&str, &'static [u32], &str) = match look.show.as_deref() {
        Some("all") => ("all", &[0, 1, 2, 3, 4], "The reports name no test."),
        Some("skipped") => ("skipped", &[3], "No test was skipped."),
        _ => ("problems", &[0, 1, 2], "No test failed and none was flaky."),
    };
    let list = Results::of(job.id, places);
    let after = list.read(look.cursor.as_deref())?;
    let id = job.id;
    let first = after.is_none();
    let found = app.store.read(move |view| read(view, id, places, after, first)).await?;
    let job_href = format!("/jobs/{id}");
    let log_of = |report: i64| {
        let report = found.reports.iter().find(|row| row.id == report)?;
        report.step.map(|step| format!("{job_href}?step={step}#s{step}"))
    };
    let here = format!("{job_href}/tests?show={shown}");
    let full = found.rows.len() == PAGE as usize;
    let last = found.rows.last().filter(|_| full).map(|(row, _)| list.behind(row));
    let choice = |key: &str, name| Choice { href: format!("{job_href}/tests?show={key}"), name, here: key == shown };
    let line = |(row, past): (TestResultRow, Dots)| {
        let log = log_of(row.report_id);
        test_line(&job.pipeline_name, row, log, past)
    };
    let page = Page {
        chrome: chrome(&app, &visitor, "pipelines").await?,
        reports: found.reports.iter().map(|row| report(row, log_of(row.id))).collect(),
        tests: found.rows.into_iter().map(line).collect(),
        slowest: found.slowest.into_iter().map(|row| line((row, Dots::default()))).collect(),
        choices: vec![choice("problems", "Failed and flaky"), choice("skipped", "Skipped"), choice("all", "All")],
        more: last.map(|cursor| format!("{here}&cursor={cursor}")),
        pipeline_href: pipeline_href(&job.pipeline_name),
        live: !job.status.is_terminal(),
        number: job.number,
        pipeline: job.pipeline_name,
        job_href,
        empty,
    };
    render(&page)
}

fn read(
    view: &View<'_>,
    job: crate::model::JobId,
    places: &[u32],
    after: Option<After>,
    first: bool,
) -> Result<Found, StoreError> {
    let reports = test_reports::of_job(view, job)?;
    let ids: Vec<i64> = reports.iter().map(|report| report.id).collect();
    let mut rows = Vec::new();
    for row in test_reports::page(view, &ids, places, after, PAGE)? {
        let past = dots(&of_case(view, row.case_id, Some(row.report_id + 1), DOTS)?);
        rows.push((row, past));
    }
    let mut slowest = Vec::new();
    for id in ids.into_iter().filter(|_| first) {
        slowest.extend(test_reports::slowest(view, id, SLOWEST)?);
    }
    slowest.sort_by_key(|row| std::cmp::Reverse(row.millis));
    slowest.truncate(SLOWEST as usize);
    Ok(Found { reports, rows, slowest })
}

fn report(row: &TestReportRow, log: Option<String>) -> Report {
    Report {
        name: row.name.clone(),
        class: if row.failed > 0 { "failure" } else { "success" },
        total: row.total,
        failed: row.failed,
        skipped: row.skipped,
        newly_failing: row.newly_failing,
        flaky: row.flaky,
        took: seconds(row.millis),
        log,
        notes: row.notes.clone(),
    }
}
