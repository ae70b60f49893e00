//! Steps on the job's own axis of time: what ran side by side and what was slow is seen at once.
use jiff::Timestamp;

use super::took;
use crate::model::step::StepStatus;
use crate::store::{JobRow, StepRow};

/// The width of the axis in units of the drawing.
const WIDTH: i64 = 1000;

/// The job's time, from its first start to its end or to now.
#[derive(Debug, Clone, Copy)]
pub(in crate::web) struct Axis {
    from: Timestamp,
    to: Timestamp,
}

impl Axis {
    /// Its length for people.
    pub(in crate::web) fn length(&self) -> String {
        took(self.from, self.to)
    }
}

/// A step in the list.
#[derive(Debug, Clone)]
pub(in crate::web) struct StepLine {
    /// Its place.
    pub(in crate::web) seq: u32,
    /// Its name.
    pub(in crate::web) name: String,
    /// Its state.
    pub(in crate::web) status: &'static str,
    /// It belongs to a branch of another call.
    pub(in crate::web) child: bool,
    /// How long it took.
    pub(in crate::web) took: String,
    /// The bar's colour.
    pub(in crate::web) class: &'static str,
    /// The bar's left edge, of 1000.
    pub(in crate::web) x: i64,
    /// The bar's width, of 1000.
    pub(in crate::web) width: i64,
}

/// The axis of a job.
pub(in crate::web) fn axis(job: &JobRow, steps: &[StepRow], now: Timestamp) -> Axis {
    let first = steps.iter().filter_map(|step| step.started_at).min();
    let from = job.started_at.into_iter().chain(first).min().unwrap_or(job.created_at);
    let last = steps.iter().filter_map(|step| step.finished_at).max();
    let to = job.finished_at.unwrap_or(now).max(from);
    Axis { from, to: last.map_or(to, |last| to.max(last)) }
}

/// The newest attempt of every step, in order, without the coordinator.
pub(in crate::web) fn step_lines(steps: &[StepRow], axis: Axis, now: Timestamp) -> Vec<StepLine> {
    let newest = steps
        .iter()
        .enumerate()
        .filter(|(i, step)| step.seq > 0 && steps.get(i + 1).is_none_or(|after| after.seq != step.seq));
    newest.map(|(_, step)| line(step, axis, now)).collect()
}

fn line(step: &StepRow, axis: Axis, now: Timestamp) -> StepLine {
    let (x, width, took) = match step.started_at {
        None => (0, 0, if step.status.is_terminal() { "not run" } else { "waits" }.to_owned()),
        Some(from) => {
            let to = step.finished_at.unwrap_or(now);
            let x = place(from, axis).min(WIDTH - 6);
            (x, (place(to, axis) - x).max(6), took(from, to))
        }
    };
    let class = match step.status {
        StepStatus::Success => "ok",
        StepStatus::Failure | StepStatus::Timeout => "bad",
        StepStatus::Running => "run",
        StepStatus::Pending | StepStatus::Cancelled | StepStatus::Skipped => "wait",
    };
    let retried =
        if step.attempt > 1 { format!("{} (attempt {})", step.name, step.attempt) } else { step.name.clone() };
    StepLine {
        seq: step.seq,
        name: retried,
        status: step.status.as_str(),
        child: !step.branch.is_empty(),
        took,
        class,
        x,
        width,
    }
}

fn place(at: Timestamp, axis: Axis) -> i64 {
    let length = (axis.to.as_millisecond() - axis.from.as_millisecond()).max(1);
    ((at.as_millisecond() - axis.from.as_millisecond()) * WIDTH / length).clamp(0, WIDTH)
}
