//! Why a job ended without success, in one sentence.
use super::answer::{Kind, Log, Why};
use super::culprit::{failing, newest, nondeterministic};
use super::evidence::Evidence;
use super::exit;
use crate::model::job::{FailureKind, Status};
use crate::model::step::{Cause, StepStatus};
use crate::store::StepRow;
use crate::web::view::{took, untold};

/// Further steps that are named.
const NAMED: usize = 5;

pub(super) fn why(evidence: &Evidence) -> Option<Why> {
    let job = &evidence.job;
    let (kind, sentence) = match job.status {
        Status::Success | Status::Pending | Status::Running => return None,
        Status::Cancelled => cancelled(evidence),
        Status::Timeout => timeout(evidence),
        Status::Failure => failure(evidence),
    };
    let culprit = evidence.culprit();
    let first = evidence.lines.lines.first();
    let log = culprit.zip(first).map(|(step, line)| Log {
        step: step.seq,
        line: line.number,
        error: evidence.lines.error,
        url: super::next::line_url(job.id, step.seq, line.number),
    });
    let red = matches!(job.status, Status::Failure | Status::Timeout);
    let also = newest(&evidence.steps).filter(|step| red && failing(step));
    let also = also.filter(|step| culprit.is_none_or(|culprit| culprit.seq != step.seq));
    Some(Why {
        kind,
        sentence,
        step: culprit.filter(|step| step.seq > 0).map(|step| step.name.clone()),
        exit_code: culprit.and_then(|step| step.exit_code),
        lines: evidence.lines.lines.clone(),
        log,
        also: also.take(NAMED).map(|step| step.name.clone()).collect(),
    })
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
            Some(step) => of_step(step),
            None => (Kind::Danubefile, reason()),
        },
    }
}

fn of_step(step: &StepRow) -> (Kind, String) {
    let reason = step.reason.as_deref().filter(|reason| !reason.is_empty());
    let code = step.exit_code;
    let (kind, what) = match (step.status, step.cause) {
        (StepStatus::Timeout, _) | (_, Some(Cause::Timeout)) => {
            let said = reason.and_then(|reason| reason.strip_prefix("it "));
            (Kind::Timeout, said.unwrap_or("ran longer than its timeout").to_owned())
        }
        (_, Some(Cause::Oom)) => (Kind::Oom, format!("ran {}", reason.unwrap_or("out of memory"))),
        (_, Some(Cause::Infra)) => {
            (Kind::Infrastructure, format!("was lost: {}", trimmed(reason.unwrap_or("the machine went down"))))
        }
        _ => match (reason.filter(|reason| !reason.starts_with("exit code")), code) {
            (Some(reason), _) => (Kind::Exit, format!("failed: {}", trimmed(reason))),
            (None, Some(code)) if exit::signal(code).is_some() => (Kind::Signal, exit::words(code)),
            (None, Some(code)) => (Kind::Exit, exit::words(code)),
            (None, None) => (Kind::Exit, "failed".to_owned()),
        },
    };
    let time = step.started_at.zip(step.finished_at).map(|(from, to)| format!(" after {}", took(from, to)));
    // A timeout says its time already.
    let time = time.filter(|_| kind != Kind::Timeout).unwrap_or_default();
    let attempt = if step.attempt > 1 { format!(", in attempt {}", step.attempt) } else { String::new() };
    (kind, format!("Step {} {what}{time}{attempt}.", named(step)))
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
