//! Which step explains the end of a job.
use crate::model::job::{FailureKind, Status};
use crate::model::step::StepStatus;
use crate::store::{JobRow, StepRow};

/// What a changed call of the danubefile is called.
const NONDETERMINISTIC: &str = "nondeterministic pipeline";

/// The newest attempt of every step, in order; `rows` are sorted by step and attempt.
pub(super) fn newest(rows: &[StepRow]) -> impl Iterator<Item = &StepRow> {
    let last = move |i: usize, row: &StepRow| rows.get(i + 1).is_none_or(|after| after.seq != row.seq);
    rows.iter().enumerate().filter(move |(i, row)| last(*i, row)).map(|(_, row)| row)
}

/// A failure that fails the job.
pub(super) fn failing(step: &StepRow) -> bool {
    step.seq > 0 && matches!(step.status, StepStatus::Failure | StepStatus::Timeout) && !step.allow_failure
}

/// The danubefile made another call than the one that was recorded.
pub(super) fn nondeterministic(job: &JobRow) -> bool {
    job.reason.as_deref().is_some_and(|reason| reason.starts_with(NONDETERMINISTIC))
}

/// The step whose log explains why the job is red; the danubefile's own output is step 0.
pub(super) fn culprit<'a>(job: &JobRow, rows: &'a [StepRow]) -> Option<&'a StepRow> {
    let coordinator = || newest(rows).find(|step| step.seq == 0);
    match (job.status, job.failure_kind) {
        (Status::Failure, Some(FailureKind::Configuration)) => coordinator(),
        (Status::Failure, _) if nondeterministic(job) => coordinator(),
        (Status::Failure, _) => {
            let reason = job.reason.as_deref().unwrap_or_default();
            // The danubefile may go on after a failed step: its own word says which one ended it.
            let named = |step: &&StepRow| reason.starts_with(&format!("step \"{}\" failed", step.name));
            let of_python = !newest(rows).filter(|step| failing(step)).any(|step| named(&step)) && is_python(reason);
            let first = newest(rows).filter(|step| failing(step) && !of_python);
            let earliest = first.min_by_key(|step| (!named(step), step.finished_at, step.seq));
            earliest.or_else(coordinator)
        }
        // What ran when the time was up.
        (Status::Timeout, _) => {
            let open = newest(rows).filter(|step| step.seq > 0 && step.started_at.is_some());
            let open = open.filter(|step| matches!(step.status, StepStatus::Cancelled | StepStatus::Timeout));
            open.max_by_key(|step| (step.finished_at, step.started_at)).or_else(coordinator)
        }
        _ => None,
    }
}

/// `danubefile.py:12: ValueError: …`: an exception of the danubefile itself.
fn is_python(reason: &str) -> bool {
    let Some((place, error)) = reason.split_once(": ") else { return false };
    let Some((file, line)) = place.rsplit_once(':') else { return false };
    let name = error.split(':').next().unwrap_or_default();
    let step = name.ends_with("StepFailed");
    !file.is_empty() && !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty() && !step
}
