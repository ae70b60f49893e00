//! test_cases: the tests of a pipeline, and what the past of one says about its newest result.
use rusqlite::params;

use super::sql::row;
use super::{StoreError, Tx};
use crate::model::test::{PAST, Past, TestCase, TestStatus, is_flaky};
use crate::model::{JobId, LeaseId, PipelineId};

/// What the results of a report are judged by.
pub(super) struct Ground {
    pub(super) pipeline_id: PipelineId,
    pub(super) baseline: Option<Baseline>,
    commit: String,
    branch: String,
    /// The oldest report whose failures still count.
    recent: i64,
}

row! {
    /// The report of the last green run.
    pub(super) struct Baseline {
        pub id: i64,
        pub job_id: JobId,
    }
}

/// What is recorded beside a result.
pub(super) struct Verdict {
    pub(super) case_id: i64,
    pub(super) place: u32,
    pub(super) flaky: bool,
}

row! {
    struct About {
        pub pipeline_id: PipelineId,
        pub commit_sha: String,
        pub branch: String,
    }
}

row! {
    struct Case {
        pub id: i64,
        pub last_failed: Option<i64>,
    }
}

row! {
    struct PastRow {
        pub report_id: i64,
        pub status: TestStatus,
        pub commit_sha: String,
        pub branch: String,
    }
}

/// Looks up what the results of a running job's report are compared with.
pub(super) fn ground(tx: &Tx<'_>, lease: LeaseId, job: JobId, name: &str) -> Result<Ground, StoreError> {
    let about: Option<About> = tx.first(
        "read the job of a test report",
        "SELECT pipeline_id, commit_sha, branch FROM jobs WHERE id = ?1 AND lease_id = ?2 AND status = 'running'",
        params![job, lease],
    )?;
    let about = about.ok_or_else(|| StoreError::not_found(format!("running job {job} under lease {lease}")))?;
    // A branch that was never green is compared with the pipeline's last green run.
    let baseline = tx.first(
        "read the tests of the last green run",
        "SELECT id, job_id FROM test_reports WHERE name = ?4 AND job_id = COALESCE(
            (SELECT id FROM jobs WHERE pipeline_id = ?1 AND branch = ?2 AND status = 'success' AND id < ?3
             ORDER BY id DESC LIMIT 1),
            (SELECT id FROM jobs WHERE pipeline_id = ?1 AND status = 'success' AND id < ?3
             ORDER BY id DESC LIMIT 1))",
        params![about.pipeline_id, about.branch, job, name],
    )?;
    let recent: Option<i64> = tx.value(
        "read the last test reports",
        "SELECT id FROM test_reports INDEXED BY test_reports_by_name WHERE pipeline_id = ?1 AND name = ?2
         ORDER BY id DESC LIMIT 1 OFFSET ?3",
        params![about.pipeline_id, name, PAST],
    )?;
    Ok(Ground {
        pipeline_id: about.pipeline_id,
        baseline,
        commit: about.commit_sha,
        branch: about.branch,
        recent: recent.unwrap_or(0),
    })
}

/// Judges one result, and lets the test know of it.
pub(super) fn verdict(
    tx: &Tx<'_>,
    ground: &Ground,
    report: i64,
    name: &str,
    case: &TestCase,
) -> Result<Verdict, StoreError> {
    let known = known(tx, ground, report, name, case)?;
    let bad = case.status.is_bad();
    // A test that has not failed lately can't be flaky by its past: no need to read it.
    let failed_lately = known.last_failed.is_some_and(|id| id >= ground.recent);
    let past = if bad || failed_lately { past(tx, known.id, report)? } else { Vec::new() };
    let results: Vec<Past> = past
        .iter()
        .map(|row| Past { status: row.status, commit: row.commit_sha.clone(), branch: row.branch.clone() })
        .collect();
    let flaky = is_flaky(case, &ground.commit, &ground.branch, &results);
    if flaky {
        for row in past.iter().filter(|row| row.commit_sha == ground.commit && row.status != case.status) {
            also_flaky(tx, known.id, row)?;
        }
        tx.run(
            "mark a test as flaky",
            "UPDATE test_cases SET last_flaky = ?2 WHERE id = ?1",
            params![known.id, report],
        )?;
    }
    if bad {
        tx.run(
            "mark a test as failed",
            "UPDATE test_cases SET last_failed = ?2 WHERE id = ?1",
            params![known.id, report],
        )?;
    }
    let place = match case.status {
        TestStatus::Failed | TestStatus::Error if !flaky && is_new(tx, ground, known.id)? => 0,
        TestStatus::Failed | TestStatus::Error => 1,
        TestStatus::Passed if flaky => 2,
        TestStatus::Skipped => 3,
        TestStatus::Passed => 4,
    };
    Ok(Verdict { case_id: known.id, place, flaky })
}

/// The row of a test, as it was before this report.
fn known(tx: &Tx<'_>, ground: &Ground, report: i64, name: &str, case: &TestCase) -> Result<Case, StoreError> {
    let row = tx.first(
        "record a test",
        "INSERT INTO test_cases (pipeline_id, report, suite, name, last_report) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (pipeline_id, report, suite, name) DO UPDATE SET last_report = excluded.last_report
         RETURNING id, last_failed",
        params![ground.pipeline_id, name, case.suite, case.name, report],
    )?;
    row.ok_or_else(|| StoreError::not_found(format!("test '{}'", case.name)))
}

fn past(tx: &Tx<'_>, case: i64, report: i64) -> Result<Vec<PastRow>, StoreError> {
    tx.all(
        "read the past of a test",
        "SELECT test_results.report_id, test_results.status, jobs.commit_sha, jobs.branch
         FROM test_results JOIN test_reports ON test_reports.id = test_results.report_id
         JOIN jobs ON jobs.id = test_reports.job_id
         WHERE test_results.case_id = ?1 AND test_results.report_id < ?2
         ORDER BY test_results.report_id DESC LIMIT ?3",
        params![case, report, PAST],
    )
}

/// Whether a failing test was not failing in the last green run.
fn is_new(tx: &Tx<'_>, ground: &Ground, case: i64) -> Result<bool, StoreError> {
    let Some(baseline) = &ground.baseline else { return Ok(false) };
    let before: Option<TestStatus> = tx.value(
        "read a test of the last green run",
        "SELECT status FROM test_results WHERE case_id = ?1 AND report_id = ?2",
        params![case, baseline.id],
    )?;
    Ok(!before.is_some_and(TestStatus::is_bad))
}

/// The other outcome at the same commit was flaky too, as is known now.
fn also_flaky(tx: &Tx<'_>, case: i64, past: &PastRow) -> Result<(), StoreError> {
    if past.status == TestStatus::Skipped {
        return Ok(());
    }
    let was_new: Option<bool> = tx.value(
        "mark an earlier result as flaky",
        "SELECT place = 0 FROM test_results WHERE case_id = ?1 AND report_id = ?2 AND flaky = 0",
        params![case, past.report_id],
    )?;
    let Some(was_new) = was_new else { return Ok(()) };
    tx.run(
        "mark an earlier result as flaky",
        "UPDATE test_results SET flaky = 1, place = CASE place WHEN 4 THEN 2 WHEN 0 THEN 1 ELSE place END
         WHERE case_id = ?1 AND report_id = ?2",
        params![case, past.report_id],
    )?;
    tx.run(
        "count an earlier result as flaky",
        "UPDATE test_reports SET flaky = flaky + 1, newly_failing = newly_failing - ?2 WHERE id = ?1",
        params![past.report_id, was_new],
    )?;
    Ok(())
}
