//! A test as a report tells of it, and what its past says about it.
use std::fmt;

/// Results that count when a test's past is judged.
pub const PAST: u32 = 20;
/// Changes of outcome on one branch, within `PAST`, that make a test flaky.
const FLIPS: usize = 3;

/// How a test ended. The stored words are pinned by a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TestStatus {
    /// It passed, at once or at last.
    Passed,
    /// What it asserts did not hold.
    Failed,
    /// It could not be run to its end.
    Error,
    /// It was not run.
    Skipped,
}

impl TestStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Passed, Self::Failed, Self::Error, Self::Skipped];

    /// The stored and shown word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }

    /// Reads a stored word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// It did not pass although it was run.
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Error)
    }
}

impl fmt::Display for TestStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One test of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestCase {
    /// Its suite or class; may be empty.
    pub suite: String,
    /// Its name within that.
    pub name: String,
    /// How it ended.
    pub status: TestStatus,
    /// How long it took, all runs together.
    pub millis: u64,
    /// How often it ran.
    pub runs: u32,
    /// What it said where it did not just pass.
    pub message: Option<String>,
}

impl TestCase {
    /// It passed only when it was run again.
    pub fn passed_on_retry(&self) -> bool {
        self.status == TestStatus::Passed && self.runs > 1 && self.message.is_some()
    }
}

/// An earlier result of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// How it ended.
    pub status: TestStatus,
    /// The commit it ran at.
    pub commit: String,
    /// The branch it ran for.
    pub branch: String,
}

/// Whether a test is flaky: it passed on a retry, had both outcomes at this commit, or has changed its
/// outcome again and again on this branch. `past` is newest first, at most `PAST` long.
pub fn is_flaky(case: &TestCase, commit: &str, branch: &str, past: &[Past]) -> bool {
    if case.passed_on_retry() {
        return true;
    }
    if case.status == TestStatus::Skipped {
        return false;
    }
    let ran = || past.iter().filter(|result| result.status != TestStatus::Skipped);
    if ran().any(|result| result.commit == commit && result.status.is_bad() != case.status.is_bad()) {
        return true;
    }
    let outcomes = ran().filter(|result| result.branch == branch).map(|result| result.status.is_bad());
    let mut flips = 0;
    let mut last = case.status.is_bad();
    for bad in outcomes {
        flips += usize::from(bad != last);
        last = bad;
    }
    flips >= FLIPS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(status: TestStatus) -> TestCase {
        TestCase { suite: "s".to_owned(), name: "n".to_owned(), status, millis: 1, runs: 1, message: None }
    }

    fn past(results: &[(TestStatus, &str, &str)]) -> Vec<Past> {
        let one = |(status, commit, branch): &(TestStatus, &str, &str)| Past {
            status: *status,
            commit: (*commit).to_owned(),
            branch: (*branch).to_owned(),
        };
        results.iter().map(one).collect()
    }

    use TestStatus::{Error, Failed, Passed, Skipped};

    #[test]
    fn both_outcomes_at_one_commit_are_flaky() {
        assert!(is_flaky(&case(Passed), "c1", "main", &past(&[(Failed, "c1", "pr")])));
        assert!(is_flaky(&case(Error), "c1", "main", &past(&[(Passed, "c1", "main")])));
        assert!(!is_flaky(&case(Failed), "c1", "main", &past(&[(Error, "c1", "main")])));
        assert!(!is_flaky(&case(Passed), "c1", "main", &past(&[(Skipped, "c1", "main")])));
        assert!(!is_flaky(&case(Skipped), "c1", "main", &past(&[(Failed, "c1", "main")])));
    }

    #[test]
    fn one_break_and_its_repair_are_not_flaky() {
        let repaired = past(&[(Failed, "c2", "main"), (Failed, "c1", "main"), (Passed, "c0", "main")]);
        assert!(!is_flaky(&case(Passed), "c3", "main", &repaired));
    }

    #[test]
    fn changing_again_and_again_on_a_branch_is_flaky() {
        let torn = past(&[(Failed, "c3", "main"), (Passed, "c2", "main"), (Failed, "c1", "main")]);
        assert!(is_flaky(&case(Passed), "c4", "main", &torn));
        assert!(!is_flaky(&case(Passed), "c4", "other", &torn));
    }

    #[test]
    fn a_pass_on_a_retry_is_flaky_without_a_past() {
        let retried = TestCase { runs: 2, message: Some("timeout".to_owned()), ..case(Passed) };
        assert!(is_flaky(&retried, "c", "b", &[]));
    }

    #[test]
    fn the_words_are_pinned() {
        assert_eq!(TestStatus::ALL.map(TestStatus::as_str), ["passed", "failed", "error", "skipped"]);
        assert!(TestStatus::ALL.iter().all(|status| TestStatus::parse(status.as_str()) == Some(*status)));
    }
}
