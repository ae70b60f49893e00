//! Which step explains the failure of a danubefile: the one rule for the job's reason and for its explanation. Pure.
use crate::model::step::StepStatus;
use crate::store::StepRow;
use crate::store::steps::StepKind;

/// What a changed call of the danubefile is called.
pub const NONDETERMINISTIC: &str = "nondeterministic pipeline";

/// The newest attempt of every step, in order; `rows` are sorted by step and attempt.
pub fn newest(rows: &[StepRow]) -> impl Iterator<Item = &StepRow> {
    let last = move |i: usize, row: &StepRow| rows.get(i + 1).is_none_or(|after| after.seq != row.seq);
    rows.iter().enumerate().filter(move |(i, row)| last(*i, row)).map(|(_, row)| row)
}

/// A failure that fails the job.
pub fn failing(step: &StepRow) -> bool {
    step.seq > 0 && matches!(step.status, StepStatus::Failure | StepStatus::Timeout) && !step.allow_failure
}

/// The step that the danubefile failed of: the one that its last word names, else the first that failed. None where an
/// exception of its own ended it.
pub fn culprit<'a>(reason: &str, rows: &'a [StepRow]) -> Option<&'a StepRow> {
    let named = |step: &&StepRow| names(reason, step);
    let of_python = !newest(rows).filter(|step| failing(step)).any(|step| named(&step)) && is_python(reason);
    let failed = newest(rows).filter(|step| failing(step) && !of_python);
    failed.min_by_key(|step| (!named(step), step.finished_at, step.seq))
}

/// The reason of a job whose danubefile ended with `said`, the step that failed first in front.
pub(super) fn first_cause(said: &str, rows: &[StepRow]) -> String {
    match culprit(said, rows) {
        // A service has its own name in its reason.
        Some(step) if step.kind == StepKind::Service && step.reason.as_ref().is_some_and(|why| said.contains(why)) => {
            said.to_owned()
        }
        Some(step) if !names(said, step) && !said.starts_with(NONDETERMINISTIC) => {
            let code = step.exit_code.unwrap_or_default();
            let why = step.reason.clone().unwrap_or_else(|| format!("exit code {code}"));
            let text = format!("step \"{}\" failed: {why}; after that: {said}", step.name);
            text.chars().take(500).collect()
        }
        _ => said.to_owned(),
    }
}

fn names(reason: &str, step: &StepRow) -> bool {
    reason
        .strip_prefix("step \"")
        .and_then(|rest| rest.strip_prefix(&step.name))
        .is_some_and(|rest| rest.starts_with("\" failed"))
}

/// `danubefile.py:12: ValueError: …`: an exception of the danubefile itself.
fn is_python(reason: &str) -> bool {
    let Some((place, error)) = reason.split_once(": ") else { return false };
    let Some((file, line)) = place.rsplit_once(':') else { return false };
    let name = error.split(':').next().unwrap_or_default();
    let step = name.ends_with("StepFailed");
    !file.is_empty() && !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty() && !step
}
