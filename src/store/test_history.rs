//! test_cases as people look at them: the tests of a pipeline, and the results of one over time.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::{row, words};
use super::{StoreError, View};
use crate::model::test::TestStatus;
use crate::model::{JobId, PipelineId};

words! {
    /// Which tests of a pipeline, and in which order.
    pub enum Which = "choice of tests" {
        /// Those that failed, the last failure first.
        Failed = "failed",
        /// Those that were flaky, the last first.
        Flaky = "flaky",
        /// All, in the order in which they were first seen.
        All = "all",
    }
}

row! {
    /// A test of a pipeline.
    pub struct TestCaseRow {
        /// Its id.
        pub id: i64,
        /// The pipeline.
        pub pipeline_id: PipelineId,
        /// The name of the reports that tell of it.
        pub report: String,
        /// Its suite or class.
        pub suite: String,
        /// Its name.
        pub name: String,
        /// The newest report with it.
        pub last_report: i64,
        /// The newest report in which it failed.
        pub last_failed: Option<i64>,
        /// The newest report in which it was flaky.
        pub last_flaky: Option<i64>,
    }
}

row! {
    /// One result in the history of a test.
    pub struct PastResultRow {
        /// The report.
        pub report_id: i64,
        /// The job.
        pub job_id: JobId,
        /// The job's number.
        pub number: u64,
        /// Its branch.
        pub branch: String,
        /// Its commit.
        pub commit_sha: String,
        /// How the test ended.
        pub status: TestStatus,
        /// It was flaky.
        pub flaky: bool,
        /// How long it took.
        pub millis: u64,
        /// What it said.
        pub message: Option<String>,
        /// When it was recorded.
        pub created_at: Timestamp,
    }
}

/// Where a list of tests goes on: behind this mark and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// The report that the order of the list looks at; 0 for `All`.
    pub mark: i64,
    /// The id of the last row.
    pub case: i64,
}

impl After {
    /// Where a list that ends with this row goes on.
    pub fn row(which: Which, row: &TestCaseRow) -> Self {
        let mark = match which {
            Which::Failed => row.last_failed,
            Which::Flaky => row.last_flaky,
            Which::All => None,
        };
        Self { mark: mark.unwrap_or(0), case: row.id }
    }
}

/// Tests of a pipeline, a page at a time.
pub fn page(
    view: &View<'_>,
    pipeline: PipelineId,
    which: Which,
    after: Option<After>,
    limit: u32,
) -> Result<Vec<TestCaseRow>, StoreError> {
    let what = "list the tests of a pipeline";
    let limit = limit.clamp(1, 200);
    let start = After { mark: i64::MAX, case: 0 };
    let after = after.unwrap_or(start);
    let sql = match which {
        Which::Failed => {
            "SELECT * FROM test_cases WHERE pipeline_id = ?1 AND last_failed IS NOT NULL AND last_failed <= ?2
             AND (last_failed < ?2 OR id > ?3) ORDER BY last_failed DESC, id LIMIT ?4"
        }
        Which::Flaky => {
            "SELECT * FROM test_cases WHERE pipeline_id = ?1 AND last_flaky IS NOT NULL AND last_flaky <= ?2
             AND (last_flaky < ?2 OR id > ?3) ORDER BY last_flaky DESC, id LIMIT ?4"
        }
        Which::All => "SELECT * FROM test_cases WHERE pipeline_id = ?1 AND ?2 >= 0 AND id > ?3 ORDER BY id LIMIT ?4",
    };
    view.all(what, sql, params![pipeline, after.mark, after.case, limit])
}

/// The test of that id, if the pipeline has it.
pub fn find(view: &View<'_>, pipeline: PipelineId, case: i64) -> Result<Option<TestCaseRow>, StoreError> {
    view.first("read a test", "SELECT * FROM test_cases WHERE id = ?1 AND pipeline_id = ?2", params![case, pipeline])
}

/// The results of a test, newest first, from before a report.
pub fn of_case(view: &View<'_>, case: i64, before: Option<i64>, limit: u32) -> Result<Vec<PastResultRow>, StoreError> {
    view.all(
        "read the history of a test",
        "SELECT test_results.report_id, jobs.id AS job_id, jobs.number, jobs.branch, jobs.commit_sha,
            test_results.status, test_results.flaky, test_results.millis, test_results.message,
            test_reports.created_at
         FROM test_results JOIN test_reports ON test_reports.id = test_results.report_id
         JOIN jobs ON jobs.id = test_reports.job_id
         WHERE test_results.case_id = ?1 AND test_results.report_id < ?2
         ORDER BY test_results.report_id DESC LIMIT ?3",
        params![case, before.unwrap_or(i64::MAX), limit.clamp(1, 200)],
    )
}

/// The report at which a test began to fail without a pass since, and how many results it has failed in a row.
pub fn failing_since(view: &View<'_>, case: i64) -> Result<Option<PastResultRow>, StoreError> {
    let rows = of_case(view, case, None, 200)?;
    Ok(rows.into_iter().take_while(|row| row.status != TestStatus::Passed).filter(|row| row.status.is_bad()).last())
}
