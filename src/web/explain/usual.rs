//! What a job and its steps take in green runs of the branch: the middle of the last ones.
use std::collections::{HashMap, HashSet};

use super::span::{Same, past};
use crate::store::JobRow;
use crate::store::job_past::StepTime;

/// Green runs that a claim about "usual" needs.
const ENOUGH: usize = 3;
/// From this many times the usual on, something is slow.
const SLOW: f64 = 1.5;
/// What is not worth a word, in milliseconds.
const SMALL: i64 = 1000;

/// Medians, in milliseconds.
#[derive(Debug, Clone, Default)]
pub(in crate::web) struct Usual {
    /// The whole job, from its start to its end.
    pub(in crate::web) job: Option<i64>,
    steps: HashMap<Same, i64>,
    newest: HashSet<Same>,
}

impl Usual {
    /// From the last green jobs and the times of their steps, newest job first.
    pub(super) fn of(greens: &[JobRow], times: &[StepTime]) -> Self {
        // A job that went on where another stopped was shorter than its pipeline.
        let whole = greens.iter().filter(|job| !job.reuse);
        let took = |job: &JobRow| Some((job.finished_at?.as_millisecond() - job.started_at?.as_millisecond()).max(0));
        let mut steps: HashMap<Same, Vec<i64>> = HashMap::new();
        let mut newest = HashSet::new();
        for job in times.chunk_by(|one, other| one.job_id == other.job_id) {
            let is_newest = greens.first().is_some_and(|green| job.first().is_some_and(|t| t.job_id == green.id));
            for span in past(job) {
                if is_newest {
                    newest.insert(span.same.clone());
                }
                steps.entry(span.same.clone()).or_default().push(span.millis());
            }
        }
        let enough = |(same, times): (Same, Vec<i64>)| (times.len() >= ENOUGH).then(|| Some((same, median(times)?)));
        Self {
            job: Some(whole.filter_map(took).collect::<Vec<_>>()).filter(|t| t.len() >= ENOUGH).and_then(median),
            steps: steps.into_iter().filter_map(enough).flatten().collect(),
            newest,
        }
    }

    /// What a step takes.
    pub(in crate::web) fn step(&self, same: &Same) -> Option<i64> {
        self.steps.get(same).copied()
    }

    /// The steps of the last green run; empty where it is not known.
    pub(super) const fn of_last_green(&self) -> &HashSet<Same> {
        &self.newest
    }
}

fn median(mut times: Vec<i64>) -> Option<i64> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

/// How many times the usual something took, where it is worth a word.
pub(in crate::web) fn times_usual(millis: i64, usual: i64) -> Option<f64> {
    let times = millis as f64 / usual.max(1) as f64;
    (times >= SLOW && millis - usual >= SMALL).then_some(times)
}
