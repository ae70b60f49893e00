use serde::Serialize;

use super::facts::{JobFacts, LogFile};
use super::statement::{Predicate, about_logs, predicate};
use crate::model::JobId;
use crate::model::job::Status;

/// Predicate type of a job record.
pub const RECORD_TYPE: &str = "https://danube.dev/job-record/v1";

/// How a job ended that yields no provenance.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The job's status; a success where it went on in an earlier job's workspace.
    pub status: Status,
    /// Why, in a sentence, already redacted.
    pub reason: Option<String>,
    /// The earlier job that it went on from, in that job's workspace.
    pub continued: Option<Continued>,
}

/// What a job took from an earlier one.
#[derive(Clone, Debug)]
pub struct Continued {
    /// That job.
    pub job_id: JobId,
    /// How people call it: `web#12`.
    pub label: String,
    /// The steps that were not run, with the jobs that ran them.
    pub steps: Vec<ReusedStep>,
}

/// A step that an earlier job ran.
#[derive(Clone, Debug)]
pub struct ReusedStep {
    /// The job that ran it.
    pub job_id: JobId,
    /// Its sealed log there.
    pub log: Option<LogFile>,
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
}

/// What a verifier says of it.
pub(super) const CONTINUED: &str = "continued";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Earlier<'a> {
    job: &'a str,
    job_id: JobId,
    reused_steps: Vec<Reused<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reused<'a> {
    number: u32,
    name: &'a str,
    job_id: JobId,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_sha256: Option<String>,
}

impl<'a> Earlier<'a> {
    fn of(continued: &'a Continued) -> Self {
        let Continued { job_id, label, steps } = continued;
        Self { job: label, job_id: *job_id, reused_steps: steps.iter().map(Reused::of).collect() }
    }
}

impl<'a> Reused<'a> {
    fn of(step: &'a ReusedStep) -> Self {
        let log_sha256 = step.log.as_ref().map(|log| log.sha256.to_string());
        Self { number: step.number, name: &step.name, job_id: step.job_id, log_sha256 }
    }
}

#[derive(Serialize)]
struct Record<'a> {
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continued: Option<Earlier<'a>>,
    #[serde(flatten)]
    facts: Predicate,
}

/// The record of any other end, ready to be signed: the same facts, and no artifact as a subject.
pub fn job_record(facts: &JobFacts, ending: &Ending) -> Vec<u8> {
    let unvouched: Vec<_> = facts.artifacts.iter().chain(&facts.pushed_images).cloned().collect();
    let facts_of_job = predicate(facts, &unvouched);
    let record = Record {
        status: ending.status.as_str(),
        reason: ending.reason.as_deref(),
        continued: ending.continued.as_ref().map(Earlier::of),
        facts: facts_of_job,
    };
    about_logs(RECORD_TYPE, facts, record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provenance::facts::example;
    use serde_json::Value;

    fn record(facts: &JobFacts, reason: Option<&str>) -> Value {
        let ending = Ending { status: Status::Failure, reason: reason.map(str::to_owned), continued: None };
        serde_json::from_slice(&job_record(facts, &ending)).unwrap()
    }

    #[test]
    fn a_failed_job_vouches_for_no_artifact() {
        let record = record(&example(), Some("step 2 exited with 1"));
        assert_eq!(record["predicateType"], RECORD_TYPE);
        assert_eq!(record["subject"].as_array().unwrap().len(), 1);
        assert_eq!(record["subject"][0]["name"], "logs.sha256");
        assert_eq!(record["predicate"]["status"], "failure");
        assert_eq!(record["predicate"]["reason"], "step 2 exited with 1");
        let byproducts = record["predicate"]["runDetails"]["byproducts"].as_array().unwrap();
        assert!(byproducts.iter().any(|each| each["name"] == "artifacts/app.tar.gz"));
    }

    #[test]
    fn a_job_that_never_ran_has_a_record_too() {
        let mut facts = example();
        facts.started_on = None;
        facts.logs.clear();
        let record = record(&facts, None);
        assert_eq!(record["predicate"]["runDetails"]["metadata"].get("startedOn"), None);
        assert_eq!(record["predicate"].get("reason"), None);
    }
}
