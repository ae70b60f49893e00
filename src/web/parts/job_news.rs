//! What a job's danubefile and its tests say on top of its page: notes, and the sum of the test reports.
use crate::model::JobId;
use crate::store::annotations::{self, AnnotationLevel, AnnotationRow};
use crate::store::test_reports::{self, TestReportRow};
use crate::store::{JobRow, StoreError, View};
use crate::web::view::{Dots, TestLine, markdown, test_line};

/// Notes on the page; the others are in the API's list.
const NOTES: usize = 20;
/// Failed tests that are named.
const NAMED: u32 = 5;
/// The places of failed tests: newly failing, failing.
const FAILED: [u32; 2] = [0, 1];

/// A note of the danubefile.
pub(in crate::web) struct Note {
    pub(in crate::web) level: &'static str,
    pub(in crate::web) word: &'static str,
    pub(in crate::web) place: String,
    /// Made by `markdown::render`: it can do no harm.
    pub(in crate::web) html: String,
}

/// All reports of a job in a sentence, and the first tests that failed.
pub(in crate::web) struct TestsSum {
    pub(in crate::web) class: &'static str,
    pub(in crate::web) href: String,
    pub(in crate::web) sentence: String,
    pub(in crate::web) failed: Vec<TestLine>,
    pub(in crate::web) more: u64,
    pub(in crate::web) total: u64,
    pub(in crate::web) red: u64,
    pub(in crate::web) newly_failing: u64,
    pub(in crate::web) flaky: u64,
    pub(in crate::web) skipped: u64,
}

/// What stands on top of a job beside its explanation.
pub(in crate::web) struct JobNews {
    pub(in crate::web) notes: Vec<Note>,
    pub(in crate::web) notes_more: usize,
}

/// Reads it, bounded.
pub(in crate::web) fn job_news(view: &View<'_>, job: JobId) -> Result<JobNews, StoreError> {
    let mut rows = annotations::of_job(view, job)?;
    let notes_more = rows.len().saturating_sub(NOTES);
    // What is wrong comes first, and stays where there are too many.
    rows.sort_by_key(|row| match row.level {
        AnnotationLevel::Error => 0,
        AnnotationLevel::Warning => 1,
        AnnotationLevel::Info => 2,
    });
    rows.truncate(NOTES);
    Ok(JobNews { notes: rows.into_iter().map(note).collect(), notes_more })
}

/// The sum of the test reports, none where there are none.
pub(in crate::web) fn tests_sum(view: &View<'_>, job: &JobRow) -> Result<Option<TestsSum>, StoreError> {
    let reports = test_reports::of_job(view, job.id)?;
    let ids: Vec<i64> = reports.iter().filter(|row| row.failed > 0).map(|row| row.id).collect();
    let failed = test_reports::page(view, &ids, &FAILED, None, NAMED)?;
    let failed = failed.into_iter().map(|row| test_line(&job.pipeline_name, row, None, Dots::default()));
    Ok(sum(job.id, &reports, failed.collect()))
}

fn note(row: AnnotationRow) -> Note {
    let word = match row.level {
        AnnotationLevel::Info => "Note",
        AnnotationLevel::Warning => "Warning",
        AnnotationLevel::Error => "Error",
    };
    let place = match (row.file.is_empty(), row.line) {
        (true, _) => String::new(),
        (false, 0) => row.file,
        (false, line) => format!("{}:{line}", row.file),
    };
    Note { level: row.level.as_str(), word, place, html: markdown::render(&row.markdown) }
}

fn sum(job: JobId, reports: &[TestReportRow], failed: Vec<TestLine>) -> Option<TestsSum> {
    if reports.is_empty() {
        return None;
    }
    let all = |of: fn(&TestReportRow) -> u64| reports.iter().map(of).sum::<u64>();
    let total = all(|row| row.total);
    let red = all(|row| row.failed);
    let mut parts = vec![format!("{total} test{}", if total == 1 { "" } else { "s" })];
    let (newly_failing, flaky) = (all(|row| row.newly_failing), all(|row| row.flaky));
    let skipped = all(|row| row.skipped);
    match (red, newly_failing) {
        (0, _) if total > 0 => parts.push("none failed".to_owned()),
        (0, _) => {}
        (red, new) if new == red => parts.push(format!("{red} newly failing")),
        (red, 0) => parts.push(format!("{red} failed")),
        (red, new) => parts.push(format!("{red} failed, {new} of them newly")),
    }
    for (count, word) in [(flaky, "flaky"), (skipped, "skipped")] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    Some(TestsSum {
        class: if red > 0 { "failure" } else { "success" },
        href: format!("/jobs/{job}/tests"),
        sentence: parts.join(", "),
        more: red.saturating_sub(failed.len() as u64),
        failed,
        total,
        red,
        newly_failing,
        flaky,
        skipped,
    })
}
