//! A test in a list: what it is called, how it ended, how long it took.
use super::{Dots, pipeline_href};
use crate::store::test_reports::TestResultRow;

/// A test of a report.
#[derive(Debug, Clone)]
pub(in crate::web) struct TestLine {
    /// Its history.
    pub(in crate::web) href: String,
    /// Its suite, if it has one.
    pub(in crate::web) suite: String,
    /// Its name.
    pub(in crate::web) name: String,
    /// Its state as a style: `failure`, `skipped`, `success`.
    pub(in crate::web) class: &'static str,
    /// Its state in words.
    pub(in crate::web) word: &'static str,
    /// How long it took.
    pub(in crate::web) took: String,
    /// The first line of what it said.
    pub(in crate::web) first: String,
    /// All of it, where there is more.
    pub(in crate::web) message: Option<String>,
    /// The log of the step before the report.
    pub(in crate::web) log: Option<String>,
    /// Its past.
    pub(in crate::web) dots: Dots,
}

/// The line of a result.
pub(in crate::web) fn test_line(pipeline: &str, row: TestResultRow, log: Option<String>, dots: Dots) -> TestLine {
    let (class, word) = match (row.place, row.flaky) {
        (0, _) => ("failure", "newly failing"),
        (1, true) => ("failure", "failed, flaky"),
        (1, false) => ("failure", "failed"),
        (2, _) => ("running flaky", "passed, flaky"),
        (3, _) => ("skipped", "skipped"),
        _ => ("success", "passed"),
    };
    let message = row.message.unwrap_or_default();
    let first: String =
        message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().chars().take(300).collect();
    let more = message.trim() != first;
    TestLine {
        href: format!("{}/tests/{}", pipeline_href(pipeline), row.case_id),
        suite: row.suite,
        name: row.name,
        class,
        word,
        took: seconds(row.millis),
        first,
        message: more.then_some(message),
        log: log.filter(|_| row.place < 3),
        dots,
    }
}

/// A test's time: `3 ms`, `1.24 s`, `3 min 5 s`.
pub(in crate::web) fn seconds(millis: u64) -> String {
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..60_000 => format!("{}.{:02} s", millis / 1000, millis % 1000 / 10),
        _ => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1000),
    }
}
