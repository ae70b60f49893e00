//! Why a job is red, slow or waiting, as the server explains it.
use serde::Deserialize;
use serde_json::Value;

use super::error::ClientError;
use super::job_name::JobName;
use super::request::Client;

/// The explanation; every part may be missing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Why it ended without success.
    pub why: Option<Why>,
    /// What changed since the last green run.
    pub changed: Option<Said>,
    /// What took longer than usual.
    pub slow: Option<Slow>,
    /// What its test reports say.
    pub tests: Option<Tests>,
    /// What can be done now.
    pub next: Vec<Action>,
}

/// Why a job ended without success.
#[derive(Debug, Clone, Deserialize)]
pub struct Why {
    /// The cause in a sentence.
    pub sentence: String,
    /// The step that explains it.
    #[serde(default)]
    pub step: Option<String>,
    /// The first failing lines of its log, else the last lines.
    #[serde(default)]
    pub lines: Vec<Line>,
    /// Where they stand.
    #[serde(default)]
    pub log: Option<Place>,
    /// Further steps that failed.
    #[serde(default)]
    pub also: Vec<String>,
    /// The same steps with what they say.
    #[serde(default)]
    pub failed_too: Vec<FailedToo>,
}

/// A further step that failed.
#[derive(Debug, Clone, Deserialize)]
pub struct FailedToo {
    /// Why, in a sentence.
    pub sentence: String,
    /// The line of its log that tells most.
    #[serde(default)]
    pub line: Option<Line>,
}

/// What the test reports of a job say.
#[derive(Debug, Clone, Deserialize)]
pub struct Tests {
    /// All of it in a sentence.
    pub sentence: String,
    /// Tests that failed.
    #[serde(default)]
    pub failed: u64,
    /// The first of them.
    #[serde(default)]
    pub first: Vec<FailedTest>,
}

/// A test that failed.
#[derive(Debug, Clone, Deserialize)]
pub struct FailedTest {
    /// Its suite, if it has one.
    #[serde(default)]
    pub suite: String,
    /// Its name.
    pub name: String,
    /// `newly failing`, `failed`, or `failed, flaky`.
    #[serde(default)]
    pub state: String,
    /// The first line of what it said.
    #[serde(default)]
    pub message: String,
}

/// A line of a log.
#[derive(Debug, Clone, Deserialize)]
pub struct Line {
    /// From 1.
    pub number: u64,
    /// Its text.
    pub text: String,
}

/// A place in a log.
#[derive(Debug, Clone, Deserialize)]
pub struct Place {
    /// The step's number.
    pub step: u32,
    /// The lines look like an error; else they are only the last ones.
    #[serde(default)]
    pub error: bool,
}

/// Something in a sentence.
#[derive(Debug, Clone, Deserialize)]
pub struct Said {
    /// The sentence.
    pub sentence: String,
}

/// What took longer than usual.
#[derive(Debug, Clone, Deserialize)]
pub struct Slow {
    /// In a sentence.
    pub sentence: String,
    /// The steps that did.
    #[serde(default)]
    pub steps: Vec<SlowStep>,
}

/// A step that took longer than usual.
#[derive(Debug, Clone, Deserialize)]
pub struct SlowStep {
    /// Its number.
    pub n: u32,
    /// How many times longer.
    pub times_usual: f64,
}

/// Something that can be done now.
#[derive(Debug, Clone, Deserialize)]
pub struct Action {
    /// Its kind: `change` is a change that helps.
    #[serde(default, rename = "do")]
    pub what: String,
    /// What it is.
    pub text: String,
    /// The same as a command.
    #[serde(default)]
    pub command: Option<String>,
}

/// Asks for it. Servers that are older have none, and one that cannot tell takes nothing from the job.
pub async fn summary(client: &Client, job: &JobName) -> Result<Option<Value>, ClientError> {
    match client.fetch(job.get("/summary")).await {
        Ok(value) => Ok(Some(value)),
        Err(ClientError::Refused { .. } | ClientError::Strange { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
