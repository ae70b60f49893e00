//! The tests of all files of a report together: merged by name, bounded, what failed first.
use std::collections::HashMap;

use super::text;
use crate::model::test::{TestCase, TestStatus};

/// Tests kept of one report.
pub const CASES: usize = 20_000;
/// Failures that are kept beyond that.
const FAILURES: usize = 5_000;
/// Tests that are counted at all.
const COUNTED: u64 = 1_000_000;
/// Bytes of all messages together; behind them only first lines are kept.
const MESSAGES: usize = 4 << 20;
/// Characters of such a first line.
const SHORT: usize = 200;

/// Takes tests, one by one.
pub struct Collector<'a> {
    redact: &'a dyn Fn(&str) -> String,
    cases: Vec<TestCase>,
    known: HashMap<(String, String), usize>,
    messages: usize,
    shortened: u64,
    beyond: u64,
    unnamed: u64,
    sums: [u64; 3],
    millis: u64,
}

/// What came together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// Those kept, what failed first.
    pub cases: Vec<TestCase>,
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
    /// What was cut, in sentences.
    pub notes: Vec<String>,
}

impl<'a> Collector<'a> {
    /// Nothing yet; `redact` takes secrets out of every text before it is cut.
    pub fn new(redact: &'a dyn Fn(&str) -> String) -> Self {
        Self {
            redact,
            cases: Vec::new(),
            known: HashMap::new(),
            messages: 0,
            shortened: 0,
            beyond: 0,
            unnamed: 0,
            sums: [0; 3],
            millis: 0,
        }
    }

    /// Tests seen so far.
    pub fn seen(&self) -> u64 {
        self.cases.len() as u64 + self.beyond
    }

    /// There are more tests than anybody has.
    pub fn is_full(&self) -> bool {
        self.seen() >= COUNTED
    }

    /// Adds one, or one more run of a known one.
    pub(super) fn add(&mut self, raw: TestCase) {
        let suite = text::name(&(self.redact)(&raw.suite));
        let mut name = text::name(&(self.redact)(&raw.name));
        if name.is_empty() {
            self.unnamed += 1;
            name = format!("(test {} without a name)", self.unnamed);
        }
        self.millis = self.millis.saturating_add(raw.millis);
        if let Some(&at) = self.known.get(&(suite.clone(), name.clone())) {
            return self.again(at, raw);
        }
        let message = raw.message.as_deref().map(|message| self.message(message));
        let room = if raw.status.is_bad() { CASES + FAILURES } else { CASES };
        if self.cases.len() >= room {
            self.beyond += 1;
            self.sums[group(raw.status)] += 1;
            return;
        }
        self.known.insert((suite.clone(), name.clone()), self.cases.len());
        self.cases.push(TestCase { suite, name, message, ..raw });
    }

    /// Runners that repeat a failed test write it down again: the last run decides.
    fn again(&mut self, at: usize, raw: TestCase) {
        let message = raw.message.as_deref().map(|message| self.message(message));
        let known = &mut self.cases[at];
        known.runs = known.runs.saturating_add(raw.runs);
        known.millis = known.millis.saturating_add(raw.millis);
        if raw.status != TestStatus::Skipped {
            known.status = raw.status;
        }
        if message.is_some() {
            known.message = message;
        }
    }

    fn message(&mut self, raw: &str) -> String {
        let message = text::message(&(self.redact)(raw));
        if self.messages + message.len() <= MESSAGES {
            self.messages += message.len();
            return message;
        }
        self.shortened += 1;
        message.lines().next().unwrap_or_default().chars().take(SHORT).collect()
    }

    /// All of it.
    pub fn finish(mut self) -> Collected {
        for case in &self.cases {
            self.sums[group(case.status)] += 1;
        }
        let mut notes = Vec::new();
        if self.is_full() {
            notes.push(format!("the reports have more than {COUNTED} tests: the rest was not read"));
        }
        if self.beyond > 0 {
            notes.push(format!("{} of the tests are listed, {} are only counted", self.cases.len(), self.beyond));
        }
        if self.shortened > 0 {
            notes.push(format!("{} messages were cut to their first line: together they are too long", self.shortened));
        }
        self.cases.sort_by_key(|case| (group(case.status) != 1, !case.passed_on_retry()));
        let [passed, failed, skipped] = self.sums;
        let total = passed + failed + skipped;
        Collected { cases: self.cases, total, passed, failed, skipped, millis: self.millis, notes }
    }
}

const fn group(status: TestStatus) -> usize {
    match status {
        TestStatus::Passed => 0,
        TestStatus::Failed | TestStatus::Error => 1,
        TestStatus::Skipped => 2,
    }
}
