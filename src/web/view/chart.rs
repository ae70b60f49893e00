//! The last runs of a pipeline as bars: height is duration, colour and a mark below are the result.
use crate::model::job::Status;
use crate::store::JobHead;

/// Bars of a chart.
pub(in crate::web) const BARS: usize = 20;

/// One run.
#[derive(Debug, Clone)]
pub(in crate::web) struct Bar {
    /// `ok`, `bad`, `run`, `wait`.
    pub(in crate::web) class: &'static str,
    /// Left edge.
    pub(in crate::web) x: usize,
    /// Upper edge.
    pub(in crate::web) y: i64,
    /// Height, of 21; the mark of a red run is below.
    pub(in crate::web) height: i64,
}

/// The last runs.
#[derive(Debug, Clone, Default)]
pub(in crate::web) struct Chart {
    /// Oldest first.
    pub(in crate::web) bars: Vec<Bar>,
    /// The same in words.
    pub(in crate::web) label: String,
}

/// The chart of jobs, given newest first.
pub(in crate::web) fn chart(jobs: &[JobHead]) -> Chart {
    let shown = &jobs[..jobs.len().min(BARS)];
    let longest = shown.iter().filter_map(millis).max().unwrap_or(1).max(1);
    let free = BARS - shown.len();
    let bars = shown.iter().rev().enumerate().map(|(place, job)| {
        let height = millis(job).map_or(6, |took| 3 + took * 18 / longest);
        Bar { class: class(job.status), x: (free + place) * 7 + 3, y: 21 - height, height }
    });
    let bars: Vec<Bar> = bars.collect();
    let of = |class| bars.iter().filter(|bar| bar.class == class).count();
    let runs = if bars.len() == 1 { "run" } else { "runs" };
    let label = format!("{} {runs}, {} green, {} red", bars.len(), of("ok"), of("bad"));
    Chart { bars, label }
}

/// The class of a bar.
pub(super) const fn class(status: Status) -> &'static str {
    match status {
        Status::Success => "ok",
        Status::Failure | Status::Timeout => "bad",
        Status::Running => "run",
        Status::Pending | Status::Cancelled => "wait",
    }
}

/// How long a job that ended took.
pub(super) fn millis(job: &JobHead) -> Option<i64> {
    Some((job.finished_at?.as_millisecond() - job.started_at?.as_millisecond()).max(0))
}
