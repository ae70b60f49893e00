//! From the start of a step's first attempt to the end of its last, and the same step in other jobs.
use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use crate::store::StepRow;
use crate::store::job_past::StepTime;

/// What makes a step of one job the same as one of another: its branch, its name, and the how manieth of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::web) struct Same {
    /// The path of branches.
    pub(in crate::web) branch: String,
    /// The name.
    pub(in crate::web) name: String,
    nth: u32,
}

/// A step on the axis of time, all attempts together.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::web) struct Span {
    /// Its place in the job.
    pub(in crate::web) seq: u32,
    /// What it is in other jobs.
    pub(in crate::web) same: Same,
    /// The start of its first attempt.
    pub(in crate::web) from: Timestamp,
    /// The end of its last attempt, or now.
    pub(in crate::web) to: Timestamp,
    /// An earlier job ran it: it lies on that job's axis.
    pub(in crate::web) reused: bool,
}

impl Span {
    /// How long it took.
    pub(in crate::web) fn millis(&self) -> i64 {
        (self.to.as_millisecond() - self.from.as_millisecond()).max(0)
    }
}

/// The spans of a job's steps that have started, in order; what runs is taken to end `now`.
pub(in crate::web) fn spans(rows: &[StepRow], now: Timestamp) -> Vec<Span> {
    let started = rows.iter().filter(|row| row.seq > 0);
    let attempts = started.filter_map(|row| {
        Some((row.seq, row.branch.as_str(), row.name.as_str(), row.started_at?, row.finished_at.unwrap_or(now)))
    });
    let mut spans = together(attempts);
    let reused: HashSet<u32> = rows.iter().filter(|row| row.reused_from.is_some()).map(|row| row.seq).collect();
    spans.iter_mut().for_each(|span| span.reused = reused.contains(&span.seq));
    spans
}

/// The same of a job in the past.
pub(super) fn past(times: &[StepTime]) -> Vec<Span> {
    together(times.iter().map(|t| (t.seq, t.branch.as_str(), t.name.as_str(), t.started_at, t.finished_at)))
}

fn together<'a>(attempts: impl Iterator<Item = (u32, &'a str, &'a str, Timestamp, Timestamp)>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut seen: HashMap<(&str, &str), u32> = HashMap::new();
    for (seq, branch, name, from, to) in attempts {
        match spans.last_mut().filter(|span| span.seq == seq) {
            Some(span) => span.to = span.to.max(to),
            None => {
                let count = seen.entry((branch, name)).or_default();
                let same = Same { branch: branch.to_owned(), name: name.to_owned(), nth: *count };
                *count += 1;
                spans.push(Span { seq, same, from, to, reused: false });
            }
        }
    }
    spans
}
