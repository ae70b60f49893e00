//! Jobs of the past: made, run and ended in one transaction, by the same moves as any other.
use super::claim::claim_in;
use super::end::finish_in;
use super::enqueue::enqueue_in;
use super::lease::Lease;
use super::{Limits, NewJob};
use crate::model::JobId;
use crate::model::job::Event;
use crate::store::{StoreError, Tx};

/// Stores a job that ended; `work` adds what it left, under its lease. For measuring a full database: nothing may
/// wait in the queue meanwhile.
pub fn past_in(
    tx: &Tx<'_>,
    job: &NewJob,
    event: Event,
    work: impl FnOnce(&Tx<'_>, Lease) -> Result<(), StoreError>,
) -> Result<JobId, StoreError> {
    let what = "store a job of the past";
    let id = enqueue_in(tx, job)?.id;
    let claimed = claim_in(tx, "history", Limits { max_running: 1 })?.filter(|claimed| claimed.job.id == id);
    let claimed = claimed.ok_or_else(|| StoreError::corrupt(what, "another job waits or runs"))?;
    work(tx, claimed.lease)?;
    match finish_in(tx, claimed.lease, event, None)? {
        Some(_) => Ok(id),
        None => Err(StoreError::corrupt(what, "it could not be ended so")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job::Status;
    use crate::queue::tests::new_job;
    use crate::store::testing::{pipeline, settings, with};
    use crate::store::{Durability, jobs};

    #[tokio::test]
    async fn a_job_of_the_past_has_ended_and_holds_nothing_up() {
        let shop = pipeline("shop", "web");
        let test = with(settings(vec![shop.clone()])).await;
        let job = new_job(&test, &shop).await;
        let twice = test.store.write("test", Durability::Progress, move |tx| {
            let first = past_in(tx, &job, Event::Exited { code: 0 }, |_, _| Ok(()))?;
            let second = past_in(tx, &job, Event::Exited { code: 1 }, |_, _| Ok(()))?;
            Ok([jobs::get(tx, first)?.status, jobs::get(tx, second)?.status])
        });
        assert_eq!(twice.await.unwrap(), [Status::Success, Status::Failure]);
    }
}
