//! What can be done about it now.
use super::answer::{Action, Changed, Kind, Log, Why};
use super::evidence::Evidence;
use crate::model::JobId;
use crate::model::job::Status;
use crate::orchestrator::SHORT_OF_MEMORY;

/// Lines of the log before and after the failing one.
const AROUND: u64 = 20;
const MEMORY: &str = "If it needs that much: give the step more by memory=\"…\"";

/// Where a person reads a line.
pub(super) fn line_url(job: JobId, step: u32, line: u64) -> String {
    format!("/jobs/{job}?step={step}&from={}#s{step}-L{line}", line.saturating_sub(20).max(1))
}

pub(super) fn next(evidence: &Evidence, why: Option<&Why>, changed: Option<&Changed>) -> Vec<Action> {
    let job = &evidence.job;
    let label = quoted(&job.label());
    let mut next = Vec::new();
    if let Some(log) = why.and_then(|why| why.log.as_ref()) {
        next.push(Action {
            what: "read_log",
            text: if log.error {
                format!("Read the log at line {}", log.line)
            } else {
                "Read the log's end".to_owned()
            },
            url: Some(log.url.clone()),
            command: Some(format!("danube logs {label} --step {}{}", log.step, around(log))),
        });
    }
    let change = |text: &str| Action { what: "change", text: text.to_owned(), url: None, command: None };
    match why.map(|why| why.kind) {
        Some(Kind::Oom) => next.push(change(MEMORY)),
        Some(_) if why.is_some_and(|why| why.sentence.contains(SHORT_OF_MEMORY)) => next.push(change(MEMORY)),
        Some(Kind::Timeout) if why.is_some_and(|why| why.sentence.starts_with("Step")) => {
            next.push(change("If it needs that long: give the step more time by timeout=\"…\""));
        }
        Some(Kind::Infrastructure) => next.push(change("If it happens often: let the step be tried again by retry=")),
        Some(Kind::Configuration) => {
            next.push(change("Correct the pipeline's document in the config repo, or the commit"))
        }
        _ => {}
    }
    if let Some(changed) = changed.filter(|changed| changed.url.is_some()) {
        let since = changed.since.as_ref().map_or(0, |since| since.number);
        let text = format!("See the changes since #{since}");
        next.push(Action { what: "compare", text, url: changed.url.clone(), command: None });
    }
    if !job.status.is_terminal() && job.cancel_requested_at.is_none() && evidence.may.cancel {
        next.push(Action {
            what: "cancel",
            text: "Cancel it".to_owned(),
            url: Some(format!("/jobs/{}", job.id)),
            command: Some(format!("danube job cancel {label}")),
        });
    }
    let goes_on = evidence.no_workspace == Some(None);
    if goes_on && evidence.may.rerun {
        next.push(Action {
            what: "rerun_failed",
            text: format!("Run it again {}", from_where(job.status)),
            url: Some(format!("/jobs/{}", job.id)),
            command: Some(format!("danube job rerun {label} --failed")),
        });
    }
    if job.status.is_terminal() && evidence.may.rerun {
        next.push(Action {
            what: "rerun",
            text: if goes_on { "Run all of it again" } else { "Run it again" }.to_owned(),
            url: Some(format!("/jobs/{}", job.id)),
            command: Some(format!("danube job rerun {label}")),
        });
    }
    // Who may run it again may see what it was answered.
    if job.status == Status::Failure && evidence.may.rerun {
        next.push(Action {
            what: "replay",
            text: "Debug it on your machine, with the recorded values".to_owned(),
            url: None,
            command: Some(format!("danube replay {label}")),
        });
    }
    next
}

/// Where a rerun begins that goes on.
pub(in crate::web) const fn from_where(status: Status) -> &'static str {
    match status {
        Status::Failure => "from the failed step",
        _ => "from where it stopped",
    }
}

/// The lines around the failing one; where none is known, all of them.
fn around(log: &Log) -> String {
    if log.error {
        format!(" --lines {}-{}", log.line.saturating_sub(AROUND).max(1), log.line.saturating_add(AROUND))
    } else {
        String::new()
    }
}

/// A pipeline's name may hold what a shell would read.
fn quoted(label: &str) -> String {
    crate::web::view::shell_word(label)
}
