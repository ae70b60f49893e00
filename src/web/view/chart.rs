//! The last runs of a pipeline as bars: height is duration, colour and a mark below are the result.
use crate::model::job::Status;
use crate::store::JobRow;

/// Bars of a chart.
pub(in crate::web) const BARS: usize = 20;

/// One run.
#[derive(Debug, Clone)]
pub(in crate::web) struct Bar {
    /// `ok`, `bad`, `wait`.
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
pub(in crate::web) fn chart(jobs: &[JobRow]) -> Chart {
    let shown = &jobs[..jobs.len().min(BARS)];
    let longest = shown.iter().filter_map(millis).max().unwrap_or(1).max(1);
    let free = BARS - shown.len();
    let bars = shown.iter().rev().enumerate().map(|(place, job)| {
        let height = millis(job).map_or(6, |took| 3 + took * 18 / longest);
        let class = match job.status {
            Status::Success => "ok",
            Status::Failure | Status::Timeout => "bad",
            Status::Pending | Status::Running | Status::Cancelled => "wait",
        };
        Bar { class, x: (free + place) * 7 + 3, y: 21 - height, height }
    });
    let bars: Vec<Bar> = bars.collect();
    let green = bars.iter().filter(|bar| bar.class == "ok").count();
    let runs = if bars.len() == 1 { "run" } else { "runs" };
    let label = format!("{} {runs}, {green} green", bars.len());
    Chart { bars, label }
}

/// What a green run takes: the middle of the last ones.
pub(in crate::web) fn usual(jobs: &[JobRow]) -> String {
    let green = jobs.iter().filter(|job| job.status == Status::Success);
    let mut times: Vec<_> = green.filter_map(|job| Some((job.started_at?, job.finished_at?))).collect();
    times.sort_by_key(|(from, to)| to.as_millisecond() - from.as_millisecond());
    times.get(times.len() / 2).map_or_else(|| "–".to_owned(), |(from, to)| super::took(*from, *to))
}

fn millis(job: &JobRow) -> Option<i64> {
    Some((job.finished_at?.as_millisecond() - job.started_at?.as_millisecond()).max(0))
}
