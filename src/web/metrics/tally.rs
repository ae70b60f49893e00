//! How many jobs ended how: a million rows are not counted for each look of a monitor.
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::model::job::Status;
use crate::store::{Store, StoreError, job_list};

/// Seconds for which a count holds.
const FRESH: i64 = 60;
/// Pipelines that are told by name; those beyond are one.
const NAMED: usize = 200;
/// What those are called. No pipeline has such a name.
const OTHERS: &str = "(others)";

/// Jobs by pipeline and status.
pub(super) type Counts = BTreeMap<(String, &'static str), u64>;

/// The last count.
#[derive(Debug, Default)]
pub(in crate::web) struct Tally(Mutex<Option<(Timestamp, Arc<Counts>)>>);

impl Tally {
    /// The jobs that ended, as of at most a minute ago. One count runs at a time.
    pub(super) async fn ended(&self, store: &Store) -> Result<Arc<Counts>, StoreError> {
        let mut last = self.0.lock().await;
        let now = store.clock().now();
        if let Some((at, counts)) = &*last
            && (0..FRESH).contains(&(now.as_second() - at.as_second()))
        {
            return Ok(Arc::clone(counts));
        }
        let rows = store.read(job_list::counts).await?;
        let counts = Arc::new(fold(rows.into_iter().map(|row| (row.pipeline_name, row.status, row.jobs))));
        *last = Some((now, Arc::clone(&counts)));
        Ok(counts)
    }
}

fn fold(rows: impl Iterator<Item = (String, Status, u64)>) -> Counts {
    let mut named: Vec<String> = Vec::new();
    let mut counts = Counts::new();
    for (pipeline, status, jobs) in rows.filter(|(_, status, _)| status.is_terminal()) {
        if !named.contains(&pipeline) && named.len() < NAMED {
            named.push(pipeline.clone());
        }
        let pipeline = if named.contains(&pipeline) { pipeline } else { OTHERS.to_owned() };
        *counts.entry((pipeline, status.as_str())).or_default() += jobs;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelines_beyond_a_number_are_one() {
        let rows = (0..NAMED + 3).map(|n| (format!("svc-{n:04}"), Status::Success, 2));
        let live = [("svc-0000".to_owned(), Status::Running, 7)];
        let counts = fold(rows.chain(live));
        assert_eq!(counts.len(), NAMED + 1);
        assert_eq!(counts[&(OTHERS.to_owned(), "success")], 6);
        assert_eq!(counts[&("svc-0000".to_owned(), "success")], 2);
    }
}
