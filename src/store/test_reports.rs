//! test_reports and test_results: what tests.junit found in a job.
use jiff::Timestamp;
use rusqlite::{named_params, params};

use super::sql::{int, micros, row, to_json};
use super::test_verdicts::{Ground, ground, verdict};
use super::{StoreError, Tx, View};
use crate::model::test::{TestCase, TestStatus};
use crate::model::{JobId, LeaseId, PipelineId};

/// Results kept of one job, over all its reports.
pub const RESULTS_OF_JOB: u64 = 50_000;

row! {
    /// One call of tests.junit, and the sum of what it found.
    pub struct TestReportRow {
        /// Its place in the order of time.
        pub id: i64,
        /// Its job.
        pub job_id: JobId,
        /// The pipeline of the job.
        pub pipeline_id: PipelineId,
        /// The name that the danubefile gave, with the branch that called.
        pub name: String,
        /// The step before it in its branch: where the tests ran, most likely.
        pub step: Option<u32>,
        /// The green job that "newly failing" compares with.
        pub baseline: Option<JobId>,
        /// Files read.
        pub files: u64,
        /// Tests in all, also those beyond what is kept.
        pub total: u64,
        /// Of these, passed.
        pub passed: u64,
        /// Of these, failed or ended in an error.
        pub failed: u64,
        /// Of these, not run.
        pub skipped: u64,
        /// Failing here and not in the last green run of the branch.
        pub newly_failing: u64,
        /// Of these, flaky.
        pub flaky: u64,
        /// Results kept.
        pub stored: u64,
        /// The time of all tests together.
        pub millis: u64,
        /// What was cut or could not be read, in sentences.
        pub notes: Vec<String>,
        /// When it was recorded.
        pub created_at: Timestamp,
    }
}

impl TestReportRow {
    /// The time of all tests together.
    pub fn seconds(&self) -> f64 {
        std::time::Duration::from_millis(self.millis).as_secs_f64()
    }
}

row! {
    /// One test in one report.
    pub struct TestResultRow {
        /// The test; the same in every job of the pipeline.
        pub case_id: i64,
        /// The report.
        pub report_id: i64,
        /// 0 newly failing, 1 failing, 2 passed but flaky, 3 skipped, 4 passed.
        pub place: u32,
        /// How it ended.
        pub status: TestStatus,
        /// It is flaky.
        pub flaky: bool,
        /// How often it ran.
        pub runs: u32,
        /// How long it took.
        pub millis: u64,
        /// What it said.
        pub message: Option<String>,
        /// Its suite or class.
        pub suite: String,
        /// Its name.
        pub name: String,
    }
}

/// What is recorded of a call of tests.junit. The texts are redacted.
#[derive(Debug, Clone)]
pub struct NewTestReport {
    /// Its job.
    pub job_id: JobId,
    /// The key of its call.
    pub key: String,
    /// Its name; a second one of a name gets a number.
    pub name: String,
    /// The branch of the danubefile that called.
    pub branch: String,
    /// Files read.
    pub files: u64,
    /// Tests in all.
    pub total: u64,
    /// Passed.
    pub passed: u64,
    /// Failed or ended in an error.
    pub failed: u64,
    /// Not run.
    pub skipped: u64,
    /// The time of all together.
    pub millis: u64,
    /// No suite and name twice; those that failed first.
    pub cases: Vec<TestCase>,
    /// What was cut or could not be read.
    pub notes: Vec<String>,
}

/// Records a report with its results and judges them by the past. The same call again changes nothing.
pub fn record(tx: &Tx<'_>, lease: LeaseId, mut new: NewTestReport) -> Result<TestReportRow, StoreError> {
    if let Some(known) = find(tx, new.job_id, &new.key)? {
        return Ok(known);
    }
    let kept = of_job(tx, new.job_id)?;
    let name = free_name(&kept, &new.name);
    let room = RESULTS_OF_JOB.saturating_sub(kept.iter().map(|report| report.stored).sum());
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if new.cases.len() > room {
        new.cases.truncate(room);
        new.notes.push(format!("the job has more than {RESULTS_OF_JOB} results: {room} of this report are listed"));
    }
    let ground = ground(tx, lease, new.job_id, &name)?;
    let report = insert(tx, &new, &name, &ground)?;
    let (mut newly_failing, mut flaky) = (0, 0);
    for case in &new.cases {
        let verdict = verdict(tx, &ground, report.id, &name, case)?;
        newly_failing += u64::from(verdict.place == 0);
        flaky += u64::from(verdict.flaky);
        tx.run(
            "record the result of a test",
            "INSERT INTO test_results (case_id, report_id, place, status, flaky, runs, millis, message)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                verdict.case_id,
                report.id,
                verdict.place,
                case.status,
                verdict.flaky,
                case.runs.max(1),
                int(case.millis),
                case.message
            ],
        )?;
    }
    let row = tx.first(
        "sum up a test report",
        "UPDATE test_reports SET newly_failing = ?2, flaky = ?3 WHERE id = ?1 RETURNING *",
        params![report.id, int(newly_failing), int(flaky)],
    )?;
    row.ok_or_else(|| StoreError::not_found(format!("test report {}", report.id)))
}

fn insert(tx: &Tx<'_>, new: &NewTestReport, name: &str, ground: &Ground) -> Result<TestReportRow, StoreError> {
    let row = tx.first(
        "record a test report",
        "INSERT INTO test_reports (job_id, pipeline_id, key, name, step, baseline, files, total, passed, failed,
            skipped, newly_failing, flaky, stored, millis, notes, created_at)
         VALUES (:job, :pipeline, :key, :name,
            (SELECT MAX(seq) FROM steps WHERE job_id = :job AND branch = :branch AND seq > 0),
            :baseline, :files, :total, :passed, :failed, :skipped, 0, 0, :stored, :millis, :notes, :now)
         RETURNING *",
        named_params! {
            ":job": new.job_id,
            ":pipeline": ground.pipeline_id,
            ":key": new.key,
            ":name": name,
            ":branch": new.branch,
            ":baseline": ground.baseline.as_ref().map(|baseline| baseline.job_id),
            ":files": int(new.files),
            ":total": int(new.total),
            ":passed": int(new.passed),
            ":failed": int(new.failed),
            ":skipped": int(new.skipped),
            ":stored": int(new.cases.len() as u64),
            ":millis": int(new.millis),
            ":notes": to_json("record a test report", &new.notes)?,
            ":now": micros(tx.now()),
        },
    )?;
    row.ok_or_else(|| StoreError::not_found("test report that was just recorded"))
}

fn free_name(kept: &[TestReportRow], wanted: &str) -> String {
    let taken = |name: &str| kept.iter().any(|report| report.name == name);
    if !taken(wanted) {
        return wanted.to_owned();
    }
    let numbered = (2..).map(|n: u64| format!("{wanted} ({n})")).find(|name| !taken(name));
    numbered.expect("a job has fewer reports than there are numbers")
}

fn find(view: &View<'_>, job: JobId, key: &str) -> Result<Option<TestReportRow>, StoreError> {
    view.first("read a test report", "SELECT * FROM test_reports WHERE job_id = ?1 AND key = ?2", params![job, key])
}

/// Every test report of a job with its sums, in the order of the calls' ends.
pub fn of_job(view: &View<'_>, job: JobId) -> Result<Vec<TestReportRow>, StoreError> {
    view.all("read the test reports of a job", "SELECT * FROM test_reports WHERE job_id = ?1 ORDER BY id", [job])
}

/// Where a list of results goes on: behind this place, report and test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// The place of the last row.
    pub place: u32,
    /// Its report.
    pub report: i64,
    /// Its test.
    pub case: i64,
}

/// Results of reports of one job in the order of their places: what is newly failing first.
pub fn page(
    view: &View<'_>,
    reports: &[i64],
    places: &[u32],
    after: Option<After>,
    limit: u32,
) -> Result<Vec<TestResultRow>, StoreError> {
    let limit = limit.clamp(1, 500);
    let mut rows = Vec::new();
    for &place in places {
        for &report in reports {
            let from = match after {
                Some(after) if (place, report) < (after.place, after.report) => continue,
                Some(after) if (place, report) == (after.place, after.report) => after.case,
                _ => 0,
            };
            let room = limit - u32::try_from(rows.len()).unwrap_or(limit).min(limit);
            if room == 0 {
                return Ok(rows);
            }
            let more: Vec<TestResultRow> = view.all(
                "list the results of a test report",
                "SELECT test_results.*, test_cases.suite, test_cases.name
                 FROM test_results JOIN test_cases ON test_cases.id = test_results.case_id
                 WHERE test_results.report_id = ?1 AND test_results.place = ?2 AND test_results.case_id > ?3
                 ORDER BY test_results.case_id LIMIT ?4",
                params![report, place, from, room],
            )?;
            rows.extend(more);
        }
    }
    Ok(rows)
}

/// The slowest tests of a report.
pub fn slowest(view: &View<'_>, report: i64, limit: u32) -> Result<Vec<TestResultRow>, StoreError> {
    view.all(
        "read the slowest tests",
        "SELECT test_results.*, test_cases.suite, test_cases.name
         FROM test_results INDEXED BY test_results_by_time JOIN test_cases ON test_cases.id = test_results.case_id
         WHERE test_results.report_id = ?1 ORDER BY test_results.millis DESC LIMIT ?2",
        params![report, limit],
    )
}

/// Forgets what a lost attempt reported: the next one reports again.
pub(crate) fn delete_of_job(tx: &Tx<'_>, job: JobId) -> Result<(), StoreError> {
    tx.run("delete the test reports of a lost attempt", "DELETE FROM test_reports WHERE job_id = ?1", [job])?;
    Ok(())
}

#[cfg(test)]
mod tests;
