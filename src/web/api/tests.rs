//! `GET /api/v1/jobs/{id}/tests` and `GET /api/v1/pipelines/{name}/tests`.
use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::test_cursor::{Cases, Results};
use super::test_json::{self, Case, Report, TestResult};
use crate::model::Action;
use crate::store::test_history::{self, Which};
use crate::store::test_reports;
use crate::web::access;
use crate::web::error::{Answer, WebError};
use crate::web::query::{Query, page_limit};
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// Results that are shown beside each test of a pipeline.
const PAST: u32 = 20;

/// The query of a job's tests.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct ResultsQuery {
    /// failed, newly_failing, passed or skipped; nothing: all.
    status: Option<String>,
    /// Rows at most (50).
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// The reports of a job, and a page of their results.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "JobTestsPage")]
pub(in crate::web) struct JobTests<'a> {
    reports: Vec<Report<'a>>,
    /// What is newly failing first.
    tests: Vec<TestResult<'a>>,
    /// The cursor of the next page; none: this is the last.
    next: Option<String>,
}

/// The reports of a job and its results, what is newly failing first; `next` is the cursor of the next page.
pub(in crate::web) async fn of_job(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(query): Query<ResultsQuery>,
) -> Answer {
    let (_read, job) = access::job(&app, &visitor, &name, Action::ReadPipeline).await?;
    let places: &'static [u32] = match query.status.as_deref().unwrap_or_default() {
        "" => &[0, 1, 2, 3, 4],
        "failed" => &[0, 1],
        "newly_failing" => &[0],
        "skipped" => &[3],
        "passed" => &[2, 4],
        _ => return Err(WebError::bad_request("status= is none of failed, newly_failing, passed, skipped")),
    };
    let list = Results::of(job.id, places);
    let after = list.read(query.cursor.as_deref())?;
    let limit = page_limit(query.limit)?;
    let (reports, rows) = app
        .store
        .read(move |view| {
            let reports = test_reports::of_job(view, job.id)?;
            let ids: Vec<i64> = reports.iter().map(|report| report.id).collect();
            let rows = test_reports::page(view, &ids, places, after, limit)?;
            Ok((reports, rows))
        })
        .await?;
    let full = rows.len() == limit as usize;
    let next = rows.last().filter(|_| full).map(|row| list.behind(row));
    let tests = rows.iter().map(|row| test_json::result(row, &reports)).collect();
    let reports = reports.iter().map(test_json::report).collect();
    Ok(Json(JobTests { reports, tests, next }).into_response())
}

/// The query of a pipeline's tests.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct CasesQuery {
    /// failed (nothing), flaky or all.
    which: Option<String>,
    /// Rows at most (50).
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A page of the tests of a pipeline.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PipelineTestsPage")]
pub(in crate::web) struct PipelineTests<'a> {
    tests: Vec<Case<'a>>,
    /// The cursor of the next page; none: this is the last.
    next: Option<String>,
}

/// The tests of a pipeline with their last results: those that failed last come first.
pub(in crate::web) async fn of_pipeline(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(query): Query<CasesQuery>,
) -> Answer {
    let (_read, row) = access::pipeline(&app, &visitor, name, Action::ReadPipeline).await?;
    let which = which(query.which.as_deref())?;
    let list = Cases::of(row.id, which);
    let after = list.read(query.cursor.as_deref())?;
    let limit = page_limit(query.limit)?;
    let rows = app
        .store
        .read(move |view| {
            let cases = test_history::page(view, row.id, which, after, limit)?;
            cases
                .into_iter()
                .map(|case| Ok((test_history::of_case(view, case.id, None, PAST)?, case)))
                .collect::<Result<Vec<_>, _>>()
        })
        .await?;
    let full = rows.len() == limit as usize;
    let next = rows.last().filter(|_| full).map(|(_, row)| list.behind(row));
    let tests = rows.iter().map(|(past, row)| test_json::case(row, past)).collect();
    Ok(Json(PipelineTests { tests, next }).into_response())
}

/// Which tests a query asks for.
pub(in crate::web) fn which(word: Option<&str>) -> Answer<Which> {
    match word {
        None | Some("") => Ok(Which::Failed),
        Some(word) => Which::parse(word).ok_or_else(|| WebError::bad_request("which= is none of failed, flaky, all")),
    }
}
