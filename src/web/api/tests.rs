//! `GET /api/v1/jobs/{id}/tests` and `GET /api/v1/pipelines/{name}/tests`.
use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::Action;
use crate::store::test_history::{self, PastResultRow, TestCaseRow, Which};
use crate::store::test_reports::{self, After, TestReportRow, TestResultRow};
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
    /// Rows at most, 1 to 200 (50).
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
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
    let after = query.cursor.as_deref().filter(|text| !text.is_empty()).map(cursor).transpose()?;
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
    let next = rows.last().filter(|_| full).map(cursor_text);
    let tests: Vec<_> = rows.iter().map(|row| result(row, &reports)).collect();
    let reports: Vec<_> = reports.iter().map(report).collect();
    Ok(Json(json!({ "reports": reports, "tests": tests, "next": next })).into_response())
}

/// The query of a pipeline's tests.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct CasesQuery {
    /// failed (nothing), flaky or all.
    which: Option<String>,
    /// Rows at most, 1 to 200 (50).
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
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
    let after = query.cursor.as_deref().filter(|text| !text.is_empty()).map(case_cursor).transpose()?;
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
    let next = rows.last().filter(|_| full).map(|(_, row)| case_cursor_text(which, row));
    let tests: Vec<_> = rows.iter().map(|(past, row)| case(row, past)).collect();
    Ok(Json(json!({ "tests": tests, "next": next })).into_response())
}

/// Which tests a query asks for.
pub(in crate::web) fn which(word: Option<&str>) -> Answer<Which> {
    match word {
        None | Some("") => Ok(Which::Failed),
        Some(word) => Which::parse(word).ok_or_else(|| WebError::bad_request("which= is none of failed, flaky, all")),
    }
}

fn wrong() -> WebError {
    WebError::bad_request("the cursor is none of ours; take `next` of the page before, or leave it out")
}

fn numbers<const N: usize>(text: &str) -> Answer<[i64; N]> {
    let read: Option<Vec<i64>> = text.split('.').map(|part| part.parse().ok().filter(|n| *n >= 0)).collect();
    read.and_then(|numbers| numbers.try_into().ok()).ok_or_else(wrong)
}

/// A cursor of results.
pub(in crate::web) fn cursor(text: &str) -> Answer<After> {
    let [place, report, case] = numbers(text)?;
    let place = u32::try_from(place).map_err(|_| wrong())?;
    Ok(After { place, report, case })
}

/// Where a list of results that ends with this row goes on.
pub(in crate::web) fn cursor_text(row: &TestResultRow) -> String {
    format!("{}.{}.{}", row.place, row.report_id, row.case_id)
}

/// A cursor of tests.
pub(in crate::web) fn case_cursor(text: &str) -> Answer<test_history::After> {
    let [mark, case] = numbers(text)?;
    Ok(test_history::After { mark, case })
}

/// Where a list of tests that ends with this row goes on.
pub(in crate::web) fn case_cursor_text(which: Which, row: &TestCaseRow) -> String {
    let after = test_history::After::row(which, row);
    format!("{}.{}", after.mark, after.case)
}

fn report(row: &TestReportRow) -> Value {
    json!({
        "name": row.name,
        "step": row.step,
        "baseline": row.baseline,
        "files": row.files,
        "total": row.total,
        "passed": row.passed,
        "failed": row.failed,
        "skipped": row.skipped,
        "newly_failing": row.newly_failing,
        "flaky": row.flaky,
        "seconds": row.seconds(),
        "notes": row.notes,
    })
}

fn seconds(millis: u64) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}

fn result(row: &TestResultRow, reports: &[TestReportRow]) -> Value {
    let report = reports.iter().find(|report| report.id == row.report_id).map(|report| report.name.as_str());
    json!({
        "id": row.case_id,
        "report": report,
        "suite": row.suite,
        "name": row.name,
        "status": row.status.as_str(),
        "newly_failing": row.place == 0,
        "flaky": row.flaky,
        "runs": row.runs,
        "seconds": seconds(row.millis),
        "message": row.message,
    })
}

fn case(row: &TestCaseRow, past: &[PastResultRow]) -> Value {
    let results: Vec<_> = past
        .iter()
        .map(|result| {
            json!({
                "job": result.job_id,
                "number": result.number,
                "branch": result.branch,
                "commit": result.commit_sha,
                "status": result.status.as_str(),
                "flaky": result.flaky,
                "seconds": seconds(result.millis),
            })
        })
        .collect();
    json!({ "id": row.id, "report": row.report, "suite": row.suite, "name": row.name, "results": results })
}
