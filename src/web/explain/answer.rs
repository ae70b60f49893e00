//! The explanation as the API gives it: short, and fields are only ever added.
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::job::Status;

/// A job explained.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
#[schemars(rename = "JobSummary")]
pub(in crate::web) struct Explanation {
    /// `pipeline#42`.
    pub(in crate::web) job: String,
    /// Where it stands.
    pub(in crate::web) status: Status,
    /// Why it ended without success.
    pub(in crate::web) why: Option<Why>,
    /// What changed since the last green run of the branch; for jobs that failed.
    pub(in crate::web) changed: Option<Changed>,
    /// What took longer than usual.
    pub(in crate::web) slow: Option<Slow>,
    /// What it waits for.
    pub(in crate::web) waiting: Option<Waiting>,
    /// What its test reports say, if it has any.
    pub(in crate::web) tests: Option<Tests>,
    /// What can be done now.
    pub(in crate::web) next: Vec<Action>,
}

/// The cause of an end in one word that scripts can rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "CauseKind")]
pub(in crate::web) enum Kind {
    /// A command ended with an exit code.
    Exit,
    /// A signal ended a command.
    Signal,
    /// A step reached its memory limit.
    Oom,
    /// A step, or the job, ran out of time.
    Timeout,
    /// The machine or the executor lost it.
    Infrastructure,
    /// The danubefile made another call than the one that was recorded.
    Nondeterministic,
    /// The job could not be run as configured.
    Configuration,
    /// The danubefile itself failed.
    Danubefile,
    /// Somebody stopped it.
    Cancelled,
    /// A newer job of its group took its place.
    Superseded,
}

/// Why a job ended without success.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
#[schemars(rename = "WhyRed")]
pub(in crate::web) struct Why {
    /// The cause.
    pub(in crate::web) kind: Kind,
    /// The cause in a sentence.
    pub(in crate::web) sentence: String,
    /// The step that explains it.
    pub(in crate::web) step: Option<String>,
    /// Its exit code.
    pub(in crate::web) exit_code: Option<i32>,
    /// The first failing lines of its log and, where they are not among them, the last ones; else the last lines.
    pub(in crate::web) lines: Vec<Line>,
    /// Where they stand.
    pub(in crate::web) log: Option<Log>,
    /// Further steps that failed.
    pub(in crate::web) also: Vec<String>,
    /// The same steps with what they say.
    pub(in crate::web) failed_too: Vec<FailedToo>,
}

/// A further step that failed.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "FailedToo")]
pub(in crate::web) struct FailedToo {
    /// Its number.
    pub(in crate::web) step: u32,
    /// Its name.
    pub(in crate::web) name: String,
    /// Why, in a sentence.
    pub(in crate::web) sentence: String,
    /// The first failing line of its log, else the last.
    pub(in crate::web) line: Option<Line>,
    /// Where a person reads it, below the server's address.
    pub(in crate::web) url: Option<String>,
}

/// What the test reports of a job say.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "SummaryTests")]
pub(in crate::web) struct Tests {
    /// Tests in all.
    pub(in crate::web) total: u64,
    /// Of these, failed.
    pub(in crate::web) failed: u64,
    /// Of these, failing here and not in the last green run.
    pub(in crate::web) newly_failing: u64,
    /// Tests that sometimes fail on the same commit.
    pub(in crate::web) flaky: u64,
    /// Not run.
    pub(in crate::web) skipped: u64,
    /// All of it in a sentence.
    pub(in crate::web) sentence: String,
    /// The first tests that failed, newly failing ones first.
    pub(in crate::web) first: Vec<FailedTest>,
    /// Where a person reads all of them, below the server's address.
    pub(in crate::web) url: String,
}

/// A test that failed.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "FailedTest")]
pub(in crate::web) struct FailedTest {
    /// Its suite or class; empty where it has none.
    pub(in crate::web) suite: String,
    /// Its name.
    pub(in crate::web) name: String,
    /// `newly failing`, `failed`, or `failed, flaky`.
    pub(in crate::web) state: String,
    /// The first line of what it said.
    pub(in crate::web) message: String,
    /// Its history, below the server's address.
    pub(in crate::web) url: String,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "SummaryLine")]
pub(in crate::web) struct Line {
    /// From 1.
    pub(in crate::web) number: u64,
    /// As it is shown: no escape sequences, no control characters.
    pub(in crate::web) text: String,
}

/// A place in a log.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "LogPlace")]
pub(in crate::web) struct Log {
    /// The step's number; 0 is the danubefile's own output.
    pub(in crate::web) step: u32,
    /// The first failing line, else the last one of the output; from 1.
    pub(in crate::web) line: u64,
    /// It looks like an error; else these are only the last lines.
    pub(in crate::web) error: bool,
    /// Where a person reads it, below the server's address.
    pub(in crate::web) url: String,
}

/// What changed since the last green run of the branch, else of the pipeline's main branch.
#[derive(Debug, Clone, PartialEq, Default, JsonSchema, Serialize)]
#[schemars(rename = "Changed")]
pub(in crate::web) struct Changed {
    /// That run, if there was one.
    pub(in crate::web) since: Option<Since>,
    /// Commits since then, newest first.
    pub(in crate::web) commits: Vec<Commit>,
    /// How many there are in all.
    pub(in crate::web) total: usize,
    /// There are more than `total`.
    pub(in crate::web) uncounted: bool,
    /// How many files differ.
    pub(in crate::web) files: usize,
    /// The first of them.
    pub(in crate::web) paths: Vec<String>,
    /// The branch was moved by force since then.
    pub(in crate::web) rewritten: bool,
    /// The danubefile is among the files.
    pub(in crate::web) danubefile: bool,
    /// The config commit is another one.
    pub(in crate::web) config: bool,
    /// The pipeline's own document is another one.
    pub(in crate::web) pipeline: bool,
    /// Steps that the green run did not have.
    pub(in crate::web) steps_new: Vec<String>,
    /// Steps before the failing one that only the green run had.
    pub(in crate::web) steps_gone: Vec<String>,
    /// A job in which the same commit passed.
    pub(in crate::web) passed: Option<String>,
    /// All of it in a sentence.
    pub(in crate::web) sentence: String,
    /// The same at the repository's host.
    pub(in crate::web) url: Option<String>,
}

/// A green run.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
#[schemars(rename = "LastGreen")]
pub(in crate::web) struct Since {
    /// `pipeline#42`.
    pub(in crate::web) job: String,
    /// Its number.
    pub(in crate::web) number: u64,
    /// Its branch: another one where no run of the job's own branch was green.
    pub(in crate::web) branch: String,
    /// Its commit.
    pub(in crate::web) commit: String,
    /// When it ended.
    pub(in crate::web) finished_at: Option<Timestamp>,
    /// Where a person reads it.
    pub(in crate::web) url: String,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "SummaryCommit")]
pub(in crate::web) struct Commit {
    /// Its id.
    pub(in crate::web) sha: String,
    /// Its author's name.
    pub(in crate::web) author: String,
    /// The first line of its message.
    pub(in crate::web) subject: String,
    /// The same at the repository's host.
    pub(in crate::web) url: Option<String>,
}

/// What took longer than usual.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
#[schemars(rename = "WhySlow")]
pub(in crate::web) struct Slow {
    /// All of it in a sentence.
    pub(in crate::web) sentence: String,
    /// How long the job took, or has run.
    pub(in crate::web) seconds: f64,
    /// What green runs of the branch take.
    pub(in crate::web) usual_seconds: f64,
    /// Steps on the critical path that were slower than usual, the worst first.
    pub(in crate::web) steps: Vec<SlowStep>,
}

/// A step that took longer than usual.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
#[schemars(rename = "SlowStep")]
pub(in crate::web) struct SlowStep {
    /// Its place.
    pub(in crate::web) n: u32,
    /// Its name.
    pub(in crate::web) name: String,
    /// How long it took.
    pub(in crate::web) seconds: f64,
    /// What it takes in green runs.
    pub(in crate::web) usual_seconds: f64,
    /// The one divided by the other.
    pub(in crate::web) times_usual: f64,
}

/// What a job waits for.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
#[schemars(rename = "WhyWaiting")]
pub(in crate::web) struct Waiting {
    /// In a sentence.
    pub(in crate::web) reason: String,
    /// Since when.
    pub(in crate::web) since: Timestamp,
}

/// Something that can be done now.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "NextAction")]
pub(in crate::web) struct Action {
    /// `read_log`, `compare`, `rerun`, `rerun_failed`, `cancel`, `change`.
    #[serde(rename = "do")]
    pub(in crate::web) what: &'static str,
    /// What it is, for people.
    pub(in crate::web) text: String,
    /// Where it is done, below the server's address or at the repository's host.
    pub(in crate::web) url: Option<String>,
    /// The same as a command.
    pub(in crate::web) command: Option<String>,
}
