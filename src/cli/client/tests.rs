//! Jobs to render, and the client against a real server.
use jiff::Timestamp;

use super::{Job, Step};
use crate::model::job::Status;
use crate::model::step::StepStatus;

mod scripted;
mod server;
mod whole;

/// Seconds after the job was asked for.
pub(in crate::cli) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A job without steps.
pub(in crate::cli) fn job(status: Status) -> Job {
    Job {
        id: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        pipeline: "web".to_owned(),
        number: 42,
        status,
        reason: None,
        parked: None,
        trigger: "manual".to_owned(),
        actor: "mina@example.com".to_owned(),
        branch: "main".to_owned(),
        tag: None,
        commit: "9f3c1ab0".repeat(5),
        message: "Reject bare carriage returns\n\nThey are no line ends.".to_owned(),
        author: "Mina Ito <mina@example.com>".to_owned(),
        attempt: 1,
        created_at: at(0),
        started_at: None,
        finished_at: None,
        cancel_requested_by: None,
        steps: Vec::new(),
        waiting: None,
        rerun_from_failed: None,
        workspace: None,
        images: Vec::new(),
    }
}

/// A step that began with the job.
pub(in crate::cli) fn step(n: u32, name: &str, status: StepStatus) -> Step {
    Step {
        n,
        name: name.to_owned(),
        branch: String::new(),
        status,
        exit_code: None,
        reason: None,
        attempt: 1,
        allow_failure: false,
        started_at: Some(at(0)),
        finished_at: None,
        reused_from: None,
    }
}
