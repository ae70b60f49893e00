//! A job explained in ten seconds: why it is red, what changed since it was green, why it is slow, why it waits.
//!
//! Owns: the explanation and how it is found; the job's page, `GET /api/v1/jobs/{id}/summary` and through it the
//! CLI say the same. [`gather`] does all reading, bounded; [`explain`] is pure. May use: store, logs and mirror
//! (reads), queue's reason for waiting. Must not touch: HTML.

mod answer;
mod changed;
mod critical;
mod culprit;
mod evidence;
mod exit;
mod lines;
mod next;
mod slow;
mod span;
mod tests;
mod usual;
mod why;

pub(super) use answer::Explanation;
pub(super) use critical::critical;
pub(super) use evidence::{Evidence, gather};
pub(super) use lines::failing_line;
pub(super) use next::from_where;
pub(super) use span::Span;
pub(super) use usual::{Usual, times_usual};

/// Everything there is to say about a job, from rows and bounded reads.
pub(super) fn explain(evidence: &Evidence) -> Explanation {
    let why = why::why(evidence);
    let changed = changed::changed(evidence);
    let slow = slow::slow(evidence);
    let next = next::next(evidence, why.as_ref(), changed.as_ref());
    Explanation {
        job: evidence.job.label(),
        status: evidence.job.status,
        why,
        changed,
        slow,
        waiting: evidence.waiting.clone(),
        tests: evidence.tests.as_ref().map(tests::tests),
        next,
    }
}
