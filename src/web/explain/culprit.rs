//! Which step explains the end of a job.
use crate::model::job::{FailureKind, Status};
use crate::model::step::StepStatus;
use crate::orchestrator::{self, NONDETERMINISTIC, newest};
use crate::store::{JobRow, StepRow};

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
        // The danubefile may go on after a failed step: its own word says which one ended it.
        (Status::Failure, _) => {
            orchestrator::culprit(job.reason.as_deref().unwrap_or_default(), rows).or_else(coordinator)
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
