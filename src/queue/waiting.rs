//! Why a pending job does not run yet, in a sentence for people.
use super::{Limits, QueueError};
use crate::model::JobId;
use crate::model::job::Status;
use crate::store::{Store, job_moves, jobs};

/// The first thing in the way of a pending job; none: it is not pending.
pub async fn waiting_reason(store: &Store, job: JobId, limits: Limits) -> Result<Option<String>, QueueError> {
    let now = store.clock().now();
    let reason = store
        .read(move |view| {
            let job = jobs::get(view, job)?;
            if job.status != Status::Pending {
                return Ok(None);
            }
            let crowd = job_moves::crowd(view, &job)?;
            Ok(Some(if job.run_after > now {
                let why = job.reason.as_deref().unwrap_or("it was put back");
                format!(
                    "attempt {} of {} starts after {}: {why}",
                    job.attempt + 1,
                    job.max_attempts,
                    job.run_after.strftime("%Y-%m-%d %H:%M:%S UTC")
                )
            } else if let Some(holder) = crowd.group_holder {
                format!("waits for {holder}, which runs in the same concurrency group")
            } else if let Some(max) = crowd.max_running.filter(|max| crowd.of_pipeline >= *max) {
                format!("{} runs {} of at most {max} jobs at once", job.pipeline_name, crowd.of_pipeline)
            } else if crowd.running >= limits.max_running {
                let taken = match limits.max_running {
                    1 => "the only slot is taken".to_owned(),
                    most => format!("all {most} slots are taken"),
                };
                match crowd.ahead {
                    0 => format!("{taken}; it is the next"),
                    1 => format!("{taken}; 1 older job waits ahead"),
                    ahead => format!("{taken}; {ahead} older jobs wait ahead"),
                }
            } else {
                "starts in a moment".to_owned()
            }))
        })
        .await?;
    Ok(reason)
}
