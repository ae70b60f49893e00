//! The job's own axis of time: every bar of the page lies on it.
use jiff::Timestamp;

use super::duration;
use crate::store::{JobRow, StepRow};

/// The width of the axis in units of the drawing.
const WIDTH: i64 = 1000;
/// The narrowest bar that is seen.
const NARROW: i64 = 6;

/// The job's time, from its making or its start to its end or to now.
#[derive(Debug, Clone, Copy)]
pub(in crate::web) struct Axis {
    from: Timestamp,
    to: Timestamp,
}

/// A stretch of the axis, of 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::web) struct Stretch {
    /// Its left edge.
    pub(in crate::web) x: i64,
    /// Its width.
    pub(in crate::web) width: i64,
}

/// What the job waited for the queue, before its first attempt.
#[derive(Debug, Clone)]
pub(in crate::web) struct Queued {
    /// For people.
    pub(in crate::web) took: String,
    /// Where it lies; none where it is longer than all the rest.
    pub(in crate::web) bar: Option<Stretch>,
}

/// The axis of a job. A long wait in the queue would make everything else a dot: it is left of the axis then.
pub(in crate::web) fn axis(job: &JobRow, steps: &[StepRow], now: Timestamp) -> Axis {
    let steps = || steps.iter().filter(|step| step.reused_from.is_none());
    let first = steps().filter_map(|step| step.started_at).min();
    let started = job.started_at.into_iter().chain(first).min();
    let last = steps().filter_map(|step| step.finished_at).max();
    let end = job.finished_at.unwrap_or(now).max(job.created_at);
    let to = last.map_or(end, |last| end.max(last));
    let from = match started {
        None => job.created_at,
        Some(at) if millis(job.created_at, at) * 2 > millis(at, to) => at,
        Some(at) => job.created_at.min(at),
    };
    Axis { from, to }
}

impl Axis {
    /// A stretch of it.
    pub(in crate::web) fn stretch(&self, from: Timestamp, to: Timestamp) -> Stretch {
        let x = self.place(from).min(WIDTH - NARROW);
        Stretch { x, width: (self.place(to) - x).max(NARROW) }
    }

    /// A moment of it, unless it lies outside.
    pub(in crate::web) fn moment(&self, from: Timestamp, millis: i64) -> Option<i64> {
        let at = from.as_millisecond().saturating_add(millis);
        let inside = (self.from.as_millisecond()..=self.to.as_millisecond()).contains(&at);
        let at = Timestamp::from_millisecond(at).ok().filter(|_| inside)?;
        Some(self.place(at))
    }

    /// The times where its quarters begin, for its head.
    pub(in crate::web) fn marks(&self) -> Vec<String> {
        let length = millis(self.from, self.to);
        (0..4).map(|quarter| if quarter == 0 { "0".to_owned() } else { duration(length * quarter / 4) }).collect()
    }

    /// The wait in the queue, if it took long enough to be seen.
    pub(in crate::web) fn queued(&self, job: &JobRow, now: Timestamp) -> Option<Queued> {
        let end = job.started_at.or(job.finished_at).unwrap_or(now);
        let waited = millis(job.created_at, end);
        let bar = (self.from < end).then(|| self.stretch(job.created_at, end));
        (waited >= 100).then(|| Queued { took: duration(waited), bar })
    }

    fn place(&self, at: Timestamp) -> i64 {
        let length = millis(self.from, self.to).max(1);
        ((at.as_millisecond() - self.from.as_millisecond()) * WIDTH / length).clamp(0, WIDTH)
    }
}

fn millis(from: Timestamp, to: Timestamp) -> i64 {
    (to.as_millisecond() - from.as_millisecond()).max(0)
}
