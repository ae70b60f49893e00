//! A pipeline's jobs as one picture: a bar per job, height is duration, a mark below is the result, the time in the
//! queue stands dashed on top, a line shows the usual time. Pure; the template draws it with attributes alone.
use jiff::Timestamp;

use super::chart::{class, millis};
use super::health::{usual_millis, waited};
use super::{duration, when};
use crate::model::job::Status;
use crate::store::JobHead;

const TOP: i64 = 14;
const BASE: i64 = 150;
const MARKS: i64 = 157;
const LEFT: i64 = 58;
/// A bar this many times the middle one is cut, so that one bad day does not flatten all others.
const CUT: i64 = 4;
/// The widest bar, and the least room for a number below.
const WIDEST: i64 = 28;
const NUMBER: i64 = 44;
/// Steps of the axis, in milliseconds.
const STEPS: [i64; 22] = [
    10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000,
    1_800_000, 3_600_000, 7_200_000, 14_400_000, 43_200_000,
];

/// One job.
#[derive(Debug, Clone)]
pub(in crate::web) struct PlotBar {
    pub(in crate::web) href: String,
    pub(in crate::web) number: u64,
    /// All of it in words.
    pub(in crate::web) title: String,
    pub(in crate::web) status: &'static str,
    pub(in crate::web) class: &'static str,
    /// The outline of the mark below, of 8 by 8.
    pub(in crate::web) mark: &'static str,
    pub(in crate::web) mark_x: i64,
    pub(in crate::web) x: i64,
    pub(in crate::web) y: i64,
    pub(in crate::web) height: i64,
    pub(in crate::web) queue_y: i64,
    pub(in crate::web) queue_height: i64,
    /// It is higher than the picture.
    pub(in crate::web) cut: bool,
    pub(in crate::web) took: String,
    pub(in crate::web) waited: String,
    pub(in crate::web) branch: String,
}

/// A place on an axis.
#[derive(Debug, Clone)]
pub(in crate::web) struct Tick {
    pub(in crate::web) at: i64,
    pub(in crate::web) text: String,
}

/// The picture.
#[derive(Debug, Clone)]
pub(in crate::web) struct Plot {
    pub(in crate::web) width: i64,
    /// Width of a bar.
    pub(in crate::web) bar: i64,
    /// Oldest first.
    pub(in crate::web) bars: Vec<PlotBar>,
    pub(in crate::web) durations: Vec<Tick>,
    pub(in crate::web) numbers: Vec<Tick>,
    pub(in crate::web) usual: Option<Tick>,
    pub(in crate::web) marks_y: i64,
}

/// Draws the newest `count` of jobs, given newest first, on a picture of that width.
pub(in crate::web) fn plot(jobs: &[JobHead], count: usize, width: i64, now: Timestamp) -> Plot {
    let shown = &jobs[..jobs.len().min(count)];
    // Few jobs begin at the left with wider places; they get closer as more come, up to `count`.
    let slots = i64::try_from(shown.len().max(count / 3).max(1)).unwrap_or(i64::MAX);
    let place = ((width - LEFT) / slots).max(2);
    let bar_width = (place - 3).clamp(2, WIDEST);
    let top = highest(shown, now);
    let up = |ms: i64| BASE - (ms.min(top) * (BASE - TOP) / top).max(0);
    let first = LEFT + (place - 3 - bar_width).max(0) / 2;
    let bars: Vec<PlotBar> =
        (0..).zip(shown.iter().rev()).map(|(n, job)| bar(job, first + place * n, bar_width, &up, top, now)).collect();
    let every = [1, 2, 5, 10].into_iter().find(|every| place * every >= NUMBER).unwrap_or(20).unsigned_abs();
    let numbers = bars.iter().filter(|bar| bar.number % every == 0);
    Plot {
        width,
        bar: bar_width,
        numbers: numbers.map(|bar| Tick { at: bar.x + bar_width / 2, text: format!("#{}", bar.number) }).collect(),
        durations: durations(top).into_iter().map(|ms| Tick { at: up(ms), text: short(ms) }).collect(),
        usual: usual_millis(shown).filter(|ms| *ms <= top).map(|ms| Tick { at: up(ms), text: duration(ms) }),
        bars,
        marks_y: MARKS,
    }
}

fn bar(job: &JobHead, x: i64, width: i64, up: &impl Fn(i64) -> i64, top: i64, now: Timestamp) -> PlotBar {
    let (took, queue) = (ran(job, now), queue(job, now));
    let (y, queue_y) = (up(took), up(took + queue));
    // A run of no time at all is still a run.
    let y = if job.started_at.is_some() { y.min(BASE - 2) } else { y };
    let status = job.status.as_str();
    let at = job.finished_at.or(job.started_at).unwrap_or(job.created_at);
    let (took_text, waited_text) = (
        if job.started_at.is_some() { duration(took) } else { "–".to_owned() },
        if queue < 1000 { "–".to_owned() } else { duration(queue) },
    );
    let waited = if queue < 1000 { String::new() } else { format!(", waited {waited_text}") };
    PlotBar {
        href: format!("/jobs/{}", job.id),
        number: job.number,
        title: format!("#{} {status}, {took_text}{waited}, {}, {}", job.number, job.branch, when(at, now).ago),
        status,
        class: class(job.status),
        mark: mark(job.status),
        mark_x: x + width / 2 - 4,
        x,
        y,
        height: BASE - y,
        queue_y: queue_y.min(y),
        queue_height: (y - queue_y).max(0),
        cut: took + queue > top,
        took: took_text,
        waited: waited_text,
        branch: job.branch.clone(),
    }
}

/// The outline of a result; green is the usual and has none.
const fn mark(status: Status) -> &'static str {
    match status {
        Status::Success => "",
        Status::Failure => "M1 0L4 3 7 0 8 1 5 4 8 7 7 8 4 5 1 8 0 7 3 4 0 1z",
        Status::Timeout => "M0 0H8V1L5 4 8 7V8H0V7L3 4 0 1z",
        Status::Running | Status::Pending => "M4 0a4 4 0 1 0 .01 0zM4 2a2 2 0 1 1-.01 0z",
        Status::Cancelled => "M0 3H8V5H0z",
    }
}

fn ran(job: &JobHead, now: Timestamp) -> i64 {
    let so_far = || job.started_at.map(|from| (now.as_millisecond() - from.as_millisecond()).max(0));
    millis(job).or_else(so_far).unwrap_or(0)
}

fn queue(job: &JobHead, now: Timestamp) -> i64 {
    let so_far = || match job.status {
        Status::Pending => (now.as_millisecond() - job.created_at.as_millisecond()).max(0),
        _ => 0,
    };
    waited(job).unwrap_or_else(so_far)
}

/// What the picture is high, in milliseconds.
fn highest(jobs: &[JobHead], now: Timestamp) -> i64 {
    let mut all: Vec<i64> = jobs.iter().map(|job| ran(job, now) + queue(job, now)).collect();
    all.sort_unstable();
    let (most, middle) = (all.last().copied().unwrap_or(0), all.get(all.len() / 2).copied().unwrap_or(0));
    let high = if middle > 0 { most.min(middle.saturating_mul(CUT)) } else { most };
    // A little air above, so that the highest bar is seen to end.
    (high + high / 12).max(10)
}

fn durations(top: i64) -> Vec<i64> {
    let step = STEPS.into_iter().find(|step| top / step <= 4).unwrap_or(STEPS[STEPS.len() - 1]);
    let most = usize::try_from(top / step).unwrap_or(0).min(5);
    (0..=most).map(|n| i64::try_from(n).unwrap_or(0) * step).collect()
}

fn short(ms: i64) -> String {
    match ms {
        ..=0 => "0".to_owned(),
        1..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{} s", ms / 1000),
        60_000..3_600_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JobId;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn job(number: u64, status: Status, waits: i64, took: i64) -> JobHead {
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let start = Timestamp::from_millisecond(at.as_millisecond() + waits).unwrap();
        let end = Timestamp::from_millisecond(start.as_millisecond() + took).unwrap();
        JobHead {
            id: JobId::from_uuid(Uuid::from_u128(u128::from(number))),
            number,
            status,
            branch: "main".to_owned(),
            tag: None,
            pull_request: None,
            created_at: at,
            run_after: at,
            started_at: (status != Status::Pending).then_some(start),
            finished_at: status.is_terminal().then_some(end),
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_600).unwrap()
    }

    #[test]
    fn one_run_that_hung_does_not_flatten_the_others() {
        let mut jobs: Vec<JobHead> = (0..10).map(|n| job(n, Status::Success, 0, 60_000)).collect();
        jobs.push(job(10, Status::Timeout, 0, 36_000_000));
        let drawn = plot(&jobs, 60, 960, now());
        assert!(drawn.bars.iter().filter(|bar| bar.class == "ok").all(|bar| bar.height > 25));
        let long = drawn.bars.iter().find(|bar| bar.cut).unwrap();
        assert!(long.title.contains("10 h 00 min") && long.class == "bad" && !long.mark.is_empty());
        assert_eq!(drawn.usual.unwrap().text, "1 min 00 s");
    }

    #[test]
    fn a_few_runs_begin_at_the_left_and_are_all_numbered() {
        let jobs: Vec<JobHead> = (1..=5).rev().map(|n| job(n, Status::Success, 0, 60_000)).collect();
        for (count, width) in [(60, 960), (20, 340)] {
            let drawn = plot(&jobs, count, width, now());
            assert!(drawn.bars[0].x < LEFT + 30, "{}", drawn.bars[0].x);
            let numbers: Vec<&str> = drawn.numbers.iter().map(|tick| tick.text.as_str()).collect();
            assert_eq!(numbers, ["#1", "#2", "#3", "#4", "#5"]);
        }
    }

    proptest! {
        #[test]
        fn every_bar_stays_within_the_picture(
            jobs in prop::collection::vec((0usize..6, 0i64..100_000_000, 0i64..100_000_000), 0..70),
            narrow in any::<bool>(),
        ) {
            let heads: Vec<JobHead> =
                (1..).zip(&jobs).map(|(n, (status, waits, took))| job(n, Status::ALL[*status], *waits, *took)).collect();
            let (count, width) = if narrow { (20, 340) } else { (60, 960) };
            let drawn = plot(&heads, count, width, now());
            prop_assert_eq!(drawn.bars.len(), heads.len().min(count));
            for bar in &drawn.bars {
                prop_assert!(bar.x >= LEFT && bar.x + drawn.bar <= width);
                prop_assert!(bar.queue_y >= TOP && bar.y >= bar.queue_y && bar.y + bar.height == BASE);
            }
            prop_assert!(drawn.durations.len() <= 6);
        }
    }
}
