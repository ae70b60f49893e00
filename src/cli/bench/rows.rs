//! What the rows of a stopped server say about its jobs.
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::JobId;
use crate::platform::{SystemClock, SystemIds};
use crate::store::{JobRow, StepRow, Store, StoreError, job_list, steps};

/// A job and its steps.
pub(super) struct Told {
    pub(super) job: JobRow,
    pub(super) steps: Vec<StepRow>,
}

/// Every job of a stopped server, oldest first.
pub(super) async fn jobs(data: &Path) -> Result<Vec<Told>, StoreError> {
    let store = Store::open(data, Arc::new(SystemClock), Arc::new(SystemIds::new()))?;
    let mut told = Vec::new();
    let mut before: Option<JobId> = None;
    loop {
        let filter = job_list::Filter { before, limit: 200, ..job_list::Filter::default() };
        let page = store.read(move |view| {
            let rows = job_list::page(view, &filter)?;
            rows.into_iter().map(|job| Ok(Told { steps: steps::of_job(view, job.id)?, job })).collect()
        });
        let page: Vec<Told> = page.await?;
        let Some(last) = page.last() else { break };
        before = Some(last.job.id);
        told.extend(page);
    }
    told.reverse();
    Ok(told)
}

/// Milliseconds from one moment to another.
pub(super) fn millis(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() * 1000.0
}
