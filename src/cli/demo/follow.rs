//! A job in the terminal: its steps as they end, with the last words of each.
use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use serde::Deserialize;

use super::show::{Colour, Show, clean, cut, took};
use crate::cli::ground::Api;
use crate::model::job::Status;
use crate::model::step::StepStatus;
use crate::platform::{Clock, SystemClock};

/// The time between two looks.
const LOOK: Duration = Duration::from_millis(150);

/// A job as the API tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) number: u64,
    pub(super) status: Status,
    pub(super) commit: String,
    #[serde(default)]
    reason: Option<String>,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
struct Step {
    n: u32,
    name: String,
    status: StepStatus,
    exit_code: Option<i32>,
    reason: Option<String>,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

/// Prints until the job has ended.
pub(super) async fn follow(api: &Api, show: &Show, id: &str) -> anyhow::Result<Job> {
    let mut told = BTreeSet::new();
    loop {
        let job: Job =
            serde_json::from_value(api.get(&format!("/api/v1/jobs/{id}")).await?).context("the job cannot be read")?;
        for step in &job.steps {
            if step.status.is_terminal() && told.insert(step.n) {
                tell(api, show, id, step).await;
            }
        }
        if job.status.is_terminal() {
            return Ok(job);
        }
        show.passing(&running(&job, SystemClock.now()));
        tokio::time::sleep(LOOK).await;
    }
}

async fn tell(api: &Api, show: &Show, job: &str, step: &Step) {
    // A log that cannot be read is no reason to stop watching.
    let log = api.bytes(&format!("/api/v1/jobs/{job}/steps/{}/log", step.n)).await.unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let time = show.dim(&format!("({})", took(between(step.started_at, step.finished_at))));
    if step.status == StepStatus::Success {
        show.line(&format!("{} {} {time}", show.paint("✓", Colour::Green), clean(&step.name)));
        let words = last_words(&log, 2).join(" · ");
        if !words.is_empty() {
            show.line(&format!("  {}", show.dim(&clean(&words))));
        }
        return;
    }
    let code = step.exit_code.map(|code| format!("exit code {code}"));
    let why = step.reason.clone().or(code).unwrap_or_else(|| step.status.to_string());
    show.line(&format!("{} {} {time}: {}", show.paint("✗", Colour::Red), clean(&step.name), cut(&why, 500)));
    for line in last_words(&log, 15) {
        show.line(&format!("  {}", clean(line)));
    }
}

/// The last lines that say something.
fn last_words(log: &str, most: usize) -> Vec<&str> {
    let speaks = |line: &&str| line.chars().any(char::is_alphanumeric);
    let mut lines: Vec<&str> = log.lines().rev().map(str::trim).filter(speaks).take(most).collect();
    lines.reverse();
    lines
}

fn running(job: &Job, now: Timestamp) -> String {
    let names: Vec<String> = job
        .steps
        .iter()
        .filter(|step| step.status == StepStatus::Running)
        .map(|step| format!("{} {}", clean(&step.name), took(between(step.started_at, Some(now)))))
        .collect();
    if names.is_empty() { format!("◌ {}", job.status) } else { format!("● {}", names.join(", ")) }
}

fn between(from: Option<Timestamp>, to: Option<Timestamp>) -> Duration {
    from.zip(to).and_then(|(from, to)| Duration::try_from(to.duration_since(from)).ok()).unwrap_or_default()
}

impl Job {
    /// What became of it, for people.
    pub(super) fn ending(&self) -> String {
        let time = took(between(self.started_at, self.finished_at));
        match &self.reason {
            Some(reason) => format!("{} after {time}: {}", self.status, cut(reason, 500)),
            None => format!("{} after {time}", self.status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_a_step_are_those_that_say_something() {
        let log = "....\n-----\nRan 292 tests in 0.5s\n\nOK (skipped=7)\n";
        assert_eq!(last_words(log, 2), ["Ran 292 tests in 0.5s", "OK (skipped=7)"]);
        assert_eq!(last_words("", 2), [""; 0]);
    }

    #[test]
    fn a_job_is_read_as_the_api_writes_it() {
        let job: Job = serde_json::from_value(serde_json::json!({
            "id": "0190", "number": 1, "status": "failure", "reason": "step \"a\" failed", "commit": "abc", "more": 1,
            "started_at": "2026-01-02T03:04:05Z", "finished_at": "2026-01-02T03:04:07Z",
            "steps": [{ "n": 1, "name": "a", "status": "running", "exit_code": null, "reason": null,
                "started_at": "2026-01-02T03:04:05Z", "finished_at": null }],
        }))
        .unwrap();
        assert_eq!(job.ending(), "failure after 2.0 s: step \"a\" failed");
        assert_eq!(running(&job, "2026-01-02T03:04:08Z".parse().unwrap()), "● a 3.0 s");
    }
}
