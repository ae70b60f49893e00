//! Why a job ended without success, in one sentence.
use super::answer::{FailedToo, Kind, Log, Why};
use super::culprit::nondeterministic;
use super::evidence::Evidence;
use super::exit;
use super::lines::Told;
use crate::model::job::{FailureKind, Status};
use crate::model::step::{Cause, StepStatus};
use crate::orchestrator::SHORT_OF_MEMORY;
use crate::store::StepRow;
use crate::web::view::{took, untold};

pub(super) fn why(evidence: &Evidence) -> Option<Why> {
    let job = &evidence.job;
    let (kind, sentence) = match job.status {
        Status::Success | Status::Pending | Status::Running => return None,
        Status::Cancelled => cancelled(evidence),
        Status::Timeout => timeout(evidence),
        Status::Failure => failure(evidence),
    };
    let culprit = evidence.culprit();
    let log = culprit.and_then(|step| place(step, &evidence.lines));
    Some(Why {
        kind,
        sentence,
        step: culprit.filter(|step| step.seq > 0).map(|step| step.name.clone()),
        exit_code: culprit.and_then(|step| step.exit_code),
        lines: evidence.lines.lines.clone(),
        log,
        also: evidence.others.iter().map(|(step, _)| step.name.clone()).collect(),
        failed_too: evidence.others.iter().map(|(step, told)| other(step, told)).collect(),
    })
}

fn place(step: &StepRow, told: &Told) -> Option<Log> {
    let line = told.line?;
    Some(Log { step: step.seq, line, error: told.error, url: super::next::line_url(step.job_id, step.seq, line) })
}

fn other(step: &StepRow, told: &Told) -> FailedToo {
    let line = told.lines.iter().find(|line| Some(line.number) == told.line).cloned();
    let log = place(step, told).map(|log| log.url);
    FailedToo { step: step.seq, name: step.name.clone(), sentence: of_step(step, told).1, line, url: log }
}

fn failure(evidence: &Evidence) -> (Kind, String) {
    let job = &evidence.job;
    let reason = || job.reason.clone().unwrap_or_else(|| "It failed, and nothing says why.".to_owned());
    match job.failure_kind {
        Some(FailureKind::Configuration) => (Kind::Configuration, reason()),
        Some(FailureKind::Infrastructure) => {
            let times = if job.attempt > 1 { format!(" {} attempts were made.", job.attempt) } else { String::new() };
            (Kind::Infrastructure, format!("The machine or the executor lost the job: {}.{times}", trimmed(&reason())))
        }
        _ if nondeterministic(job) => (Kind::Nondeterministic, reason()),
        _ => match evidence.culprit().filter(|step| step.seq > 0) {
            Some(step) => of_step(step, &evidence.lines),
            None => (Kind::Danubefile, reason()),
        },
    }
}

fn of_step(step: &StepRow, told: &Told) -> (Kind, String) {
    let reason = step.reason.as_deref().filter(|reason| !reason.is_empty());
    let time = step.started_at.zip(step.finished_at).map(|(from, to)| format!(" after {}", took(from, to)));
    let time = time.unwrap_or_default();
    let attempt = if step.attempt > 1 { format!(", in attempt {}", step.attempt) } else { String::new() };
    let colon = |text: &str| if text.is_empty() { String::new() } else { format!(": {}", trimmed(text)) };
    let exit = |code: i32| {
        let says = |texts: &[&str]| told.lines.iter().any(|line| texts.iter().any(|text| line.text.contains(text)));
        let kind = if exit::signal(code).is_some() { Kind::Signal } else { Kind::Exit };
        let (what, more) = exit::words(code, says);
        (kind, what, more.to_owned())
    };
    let of_code = reason.is_none_or(|reason| reason.starts_with("exit code"));
    let short = reason.and_then(|reason| reason.find(SHORT_OF_MEMORY).map(|at| &reason[at..]));
    if let (Some(code), Some(short)) = (step.exit_code.filter(|_| of_code), short) {
        let (kind, what, _) = exit(code);
        return (kind, format!("Step {} {what}{attempt}{}.", named(step), trimmed(short)));
    }
    let (kind, what, more) = match (step.status, step.cause, step.exit_code) {
        (StepStatus::Timeout, ..) | (_, Some(Cause::Timeout), _) => {
            let said = reason.and_then(|reason| reason.strip_prefix("it ")).unwrap_or("ran longer than its timeout");
            // It says its time already.
            return (Kind::Timeout, format!("Step {} {said}{attempt}.", named(step)));
        }
        (_, Some(Cause::Oom), _) => {
            let limit = reason.and_then(|reason| reason.strip_prefix("out of memory: ")).unwrap_or_default();
            (Kind::Oom, "ran out of memory".to_owned(), colon(limit))
        }
        (_, Some(Cause::Infra), _) => {
            (Kind::Infrastructure, "was lost".to_owned(), colon(reason.unwrap_or("the machine went down")))
        }
        (_, _, Some(code)) if of_code => exit(code),
        _ => (Kind::Exit, "failed".to_owned(), colon(reason.unwrap_or_default())),
    };
    (kind, format!("Step {} {what}{time}{attempt}{more}.", named(step)))
}

fn timeout(evidence: &Evidence) -> (Kind, String) {
    let said = evidence.job.reason.as_deref().unwrap_or("it ran longer than it may");
    let said = said.strip_prefix("it ").map_or_else(|| said.to_owned(), |rest| format!("The job {rest}"));
    let ran = evidence.culprit().filter(|step| step.seq > 0);
    let ran = ran.map(|step| format!("; step {} was running", named(step))).unwrap_or_default();
    (Kind::Timeout, format!("{}{ran}.", trimmed(&said)))
}

fn cancelled(evidence: &Evidence) -> (Kind, String) {
    let job = &evidence.job;
    let reason = job.reason.as_deref().unwrap_or("cancelled");
    let kind = if reason.starts_with("superseded") { Kind::Superseded } else { Kind::Cancelled };
    let when = match job.started_at.zip(job.finished_at) {
        Some((from, to)) => format!(" after {}", took(from, to)),
        None => " before it started".to_owned(),
    };
    (kind, format!("{}{when}.", capital(trimmed(reason))))
}

/// The step's name, and its branch where the name does not tell it.
fn named(step: &StepRow) -> String {
    match untold(&step.branch, &step.name) {
        Some(label) => format!("\"{}\" ({label})", step.name),
        None => format!("\"{}\"", step.name),
    }
}

fn trimmed(text: &str) -> &str {
    text.trim_end().trim_end_matches('.')
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
