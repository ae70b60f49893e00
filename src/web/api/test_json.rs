//! Test reports and results as the API shows them. Fields are only ever added.
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::JobId;
use crate::model::test::TestStatus;
use crate::store::test_history::{PastResultRow, TestCaseRow};
use crate::store::test_reports::{TestReportRow, TestResultRow};

/// One call of `tests.junit`, and the sum of what it found.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TestReport")]
pub(in crate::web) struct Report<'a> {
    name: &'a str,
    /// The step before it: where the tests ran, most likely.
    step: Option<u32>,
    /// The green job that "newly failing" compares with.
    baseline: Option<JobId>,
    files: u64,
    /// Tests in all, also those beyond what is listed.
    total: u64,
    passed: u64,
    failed: u64,
    skipped: u64,
    newly_failing: u64,
    flaky: u64,
    seconds: f64,
    /// What was cut or could not be read.
    notes: &'a [String],
}

/// How a test ended in a job.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TestResult")]
pub(in crate::web) struct TestResult<'a> {
    /// The test; the same in every job of the pipeline.
    id: i64,
    report: Option<&'a str>,
    suite: &'a str,
    name: &'a str,
    status: TestStatus,
    newly_failing: bool,
    flaky: bool,
    /// How often it ran.
    runs: u32,
    seconds: f64,
    message: Option<&'a str>,
}

/// A test of a pipeline.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TestCase")]
pub(in crate::web) struct Case<'a> {
    id: i64,
    report: &'a str,
    suite: &'a str,
    name: &'a str,
    /// Newest first.
    results: Vec<Past<'a>>,
}

/// How a test ended once.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PastTestResult")]
struct Past<'a> {
    job: JobId,
    /// The job's number.
    number: u64,
    branch: &'a str,
    commit: &'a str,
    status: TestStatus,
    flaky: bool,
    seconds: f64,
}

/// The form of a report.
pub(super) fn report(row: &TestReportRow) -> Report<'_> {
    Report {
        name: &row.name,
        step: row.step,
        baseline: row.baseline,
        files: row.files,
        total: row.total,
        passed: row.passed,
        failed: row.failed,
        skipped: row.skipped,
        newly_failing: row.newly_failing,
        flaky: row.flaky,
        seconds: row.seconds(),
        notes: &row.notes,
    }
}

/// The form of a result in one of these reports.
pub(super) fn result<'a>(row: &'a TestResultRow, reports: &'a [TestReportRow]) -> TestResult<'a> {
    TestResult {
        id: row.case_id,
        report: reports.iter().find(|report| report.id == row.report_id).map(|report| report.name.as_str()),
        suite: &row.suite,
        name: &row.name,
        status: row.status,
        newly_failing: row.place == 0,
        flaky: row.flaky,
        runs: row.runs,
        seconds: seconds(row.millis),
        message: row.message.as_deref(),
    }
}

/// The form of a test with its past.
pub(super) fn case<'a>(row: &'a TestCaseRow, past: &'a [PastResultRow]) -> Case<'a> {
    let results = past.iter().map(|result| Past {
        job: result.job_id,
        number: result.number,
        branch: &result.branch,
        commit: &result.commit_sha,
        status: result.status,
        flaky: result.flaky,
        seconds: seconds(result.millis),
    });
    Case { id: row.id, report: &row.report, suite: &row.suite, name: &row.name, results: results.collect() }
}

fn seconds(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}
