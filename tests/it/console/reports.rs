//! Test reports and notes of jobs, as the danubefile's calls leave them.
use danube::model::call::Place;
use danube::model::test::{TestCase, TestStatus};
use danube::queue::Lease;
use danube::store::annotations::{AnnotationLevel, NewAnnotation};
use danube::store::test_reports::NewTestReport;
use danube::store::{annotations, test_reports};

use super::corpus;
use super::seed::Seed;

/// Tests of a report that goes over pages.
const MANY: usize = 2_000;

fn case(suite: &str, name: &str, status: TestStatus, millis: u64, message: Option<&str>) -> TestCase {
    let (suite, name, message) = (suite.to_owned(), name.to_owned(), message.map(str::to_owned));
    TestCase { suite, name, status, millis, runs: 1, message }
}

fn report(seed: &Seed, lease: Lease, name: &str, cases: Vec<TestCase>, notes: Vec<String>) {
    let count = |wanted: &[TestStatus]| cases.iter().filter(|case| wanted.contains(&case.status)).count() as u64;
    let new = NewTestReport {
        job_id: lease.job,
        key: format!("/junit#{name}"),
        name: name.to_owned(),
        branch: String::new(),
        files: 2,
        total: cases.len() as u64,
        passed: count(&[TestStatus::Passed]),
        failed: count(&[TestStatus::Failed, TestStatus::Error]),
        skipped: count(&[TestStatus::Skipped]),
        millis: cases.iter().map(|case| case.millis).sum(),
        cases,
        notes,
    };
    seed.write(move |tx| test_reports::record(tx, lease.id, new).map(|_| ()));
}

/// The tests of a small project; one of them may fail.
pub(super) fn unit(seed: &Seed, lease: Lease, red: bool) {
    let said = "AssertionError: ParseError not raised\n  File \"tests/test_comment.py\", line 41, in test_bare_cr";
    let bare = if red { (TestStatus::Failed, Some(said)) } else { (TestStatus::Passed, None) };
    let mut cases = vec![case("tests.test_comment.TestComment", "test_bare_cr", bare.0, 40, bare.1)];
    cases.extend((0..12).map(|n| {
        let name = format!("test_{}", ["dates", "inline_tables", "keys", "numbers"][n % 4]);
        case(&format!("tests.test_parser_{}.TestParser", n / 4), &name, TestStatus::Passed, 15 + n as u64 * 31, None)
    }));
    cases.push(case("tests.test_slow", "test_large_file", TestStatus::Skipped, 0, Some("needs 4 GB of memory")));
    report(seed, lease, "unit", cases, Vec::new());
}

/// What a danubefile tells of a job that went well.
pub(super) fn good_note(seed: &Seed, lease: Lease) {
    note(seed, lease, 1, AnnotationLevel::Info, "**98.4 %** of the lines are covered, `+0.2` since the last run.");
}

/// What it tells of one that did not.
pub(super) fn bad_notes(seed: &Seed, lease: Lease) {
    note(seed, lease, 1, AnnotationLevel::Error, "The parser takes a bare carriage return for a line end.");
    note(seed, lease, 2, AnnotationLevel::Warning, "Python 3.11 only:\n\n- `test 3.11` failed\n- `test 3.12` is green");
}

/// Every text of a stranger in every field of a report, and in notes.
pub(super) fn hostile(seed: &Seed, lease: Lease) {
    let status = |n: usize| TestStatus::ALL[n % TestStatus::ALL.len()];
    let all = corpus::all();
    let cases = (0..40)
        .map(|n| case(&corpus::text(n + 1), &format!("{n} {}", corpus::text(n)), status(n), 10, Some(&all)))
        .collect();
    report(seed, lease, &corpus::text(0), cases, vec![corpus::text(6)]);
    for n in 0..13 {
        let level = [AnnotationLevel::Info, AnnotationLevel::Warning, AnnotationLevel::Error][n % 3];
        note(seed, lease, n, level, &format!("# {}\n\n- {}\n\n```\n{}\n```", corpus::text(n), corpus::text(n), all));
    }
}

/// More tests than a page has room for.
pub(super) fn many(seed: &Seed, lease: Lease) {
    let status = |n: usize| if n.is_multiple_of(40) { TestStatus::Error } else { TestStatus::Passed };
    let cases =
        (0..MANY).map(|n| case(&format!("suite_{}", n / 100), &format!("test number {n}"), status(n), n as u64, None));
    report(seed, lease, "integration", cases.collect(), Vec::new());
}

fn note(seed: &Seed, lease: Lease, n: usize, level: AnnotationLevel, markdown: &str) {
    let new = NewAnnotation {
        job_id: lease.job,
        key: format!("/annotate#{n}"),
        level,
        markdown: markdown.to_owned(),
        place: Place { file: "danubefile.py".to_owned(), line: 12 },
    };
    seed.write(move |tx| annotations::insert(tx, lease.id, &new));
}
