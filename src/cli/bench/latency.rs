//! `latency`: from the trigger to the end of a job, in parts; a further step beside `crun run` of the same plan.
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::crun::{self, Container};
use super::land::{Ground, Land};
use super::report::{Bound, Goal, Report};
use super::repos::{Job, Plan, steps};
use super::rows::{self, Told, millis};
use crate::platform::{Clock as _, SystemClock};

const PIPELINE: &str = "latency";

/// How long one job takes, and where its time goes
#[derive(Debug, Clone, Args)]
pub(super) struct LatencyArgs {
    /// Steps of each job, one after the other
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    steps: u64,
    /// Jobs with and as many without power-loss durability
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    rounds: u64,
}

/// One server's jobs: when each was asked for.
struct Side {
    ground: Ground,
    asked: Vec<(String, Timestamp)>,
}

pub(super) async fn run(args: &LatencyArgs, land: &mut Land) -> anyhow::Result<Report> {
    let mut report = Report::new("latency", [("steps", args.steps), ("rounds", args.rounds)]);
    let pipelines = vec![Job::new(PIPELINE, steps("true", args.steps)), crun::pipeline()];
    let plan = Plan { pipelines, ..Plan::default() };
    let durable = land.begin(&plan).await?;
    let container = Container::export(&durable).await?;
    let unsynced = land.begin(&Plan { without_sync: true, ..plan }).await?;
    let mut sides = [durable, unsynced].map(|ground| Side { ground, asked: Vec::new() });
    let mut crun = Vec::new();
    for side in &mut sides {
        // The first job of a server warms what later ones find warm.
        side.round().await?;
        side.asked.clear();
    }
    for round in 0..args.rounds {
        land.progress.say(&format!("job {} of {}", round + 1, args.rounds));
        for side in &mut sides {
            side.round().await?;
            crun.push(tokio::task::block_in_place(|| container.run())?);
        }
    }
    for side in &sides {
        land.stop(&side.ground).await?;
    }
    let crun = report.measure("crun run of a step's own config.json", "ms", crun.iter().map(in_ms).collect());
    let [durable, unsynced] = sides;
    let with = parts(&mut report, &durable, "").await?;
    let without = parts(&mut report, &unsynced, ", without power-loss durability").await?;
    if let (Some(crun), Some(with), Some(without)) = (crun, with, without) {
        let what = "a further step, minimum";
        report.goals.push(Goal::ratio(what, "ms", with, crun.min, Bound::AtMost, 2.0));
        let what = "the same without power-loss durability";
        report.goals.push(Goal::time(what, "ms", without, Some(crun.min), Bound::AtMost, 2.0 * crun.min));
    }
    report.notes.push(
        "A further step is from one step's call to the next one's: SDK, journal, container, exit record, answer. \
         crun ran between the jobs, on the config.json that the executor wrote for a step."
            .to_owned(),
    );
    Ok(report)
}

fn in_ms(time: &Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

impl Side {
    async fn round(&mut self) -> anyhow::Result<()> {
        let asked = SystemClock.now();
        let id = self.ground.trigger(PIPELINE).await?;
        self.ground.succeeded(&id).await?;
        self.asked.push((id, asked));
        Ok(())
    }
}

/// Adds the parts of a side's jobs; the shortest further step, where there is one.
async fn parts(report: &mut Report, side: &Side, suffix: &str) -> anyhow::Result<Option<f64>> {
    let told = rows::jobs(&side.ground.data).await?;
    let timed: Vec<(&Told, Timestamp)> = side
        .asked
        .iter()
        .filter_map(|(id, asked)| told.iter().find(|told| told.job.id.to_string() == *id).map(|told| (told, *asked)))
        .collect();
    let of = |part: fn(&Told, Timestamp) -> Option<f64>| -> Vec<f64> {
        timed.iter().filter_map(|(told, asked)| part(told, *asked)).collect()
    };
    type Part = (&'static str, fn(&Told, Timestamp) -> Option<f64>);
    let parts: [Part; 9] = [
        ("trigger → finished", |t, asked| Some(millis(asked, t.job.finished_at?))),
        ("  trigger → job row", |t, asked| Some(millis(asked, t.job.created_at))),
        ("  queue", |t, _| Some(millis(t.job.created_at, t.job.started_at?))),
        ("  workspace", |t, _| Some(millis(t.job.started_at?, t.steps.first()?.created_at))),
        ("  coordinator start → first call", |t, _| {
            Some(millis(t.steps.first()?.created_at, t.steps.get(1)?.created_at))
        }),
        ("  first step", |t, _| Some(millis(t.steps.get(1)?.created_at, t.steps.get(1)?.finished_at?))),
        ("  last step → coordinator gone", |t, _| {
            Some(millis(t.steps.last()?.finished_at?, t.steps.first()?.finished_at?))
        }),
        ("  seal and clean-up", |t, _| Some(millis(t.steps.first()?.finished_at?, t.job.finished_at?))),
        ("finished → record signed", |t, _| Some(millis(t.job.finished_at?, t.job.recorded_at?))),
    ];
    for (what, part) in parts {
        report.measure(&format!("{what}{suffix}"), "ms", of(part));
    }
    let further = timed.iter().flat_map(|(told, _)| {
        let steps = told.steps.get(1..).unwrap_or_default();
        steps.windows(2).map(|pair| millis(pair[0].created_at, pair[1].created_at))
    });
    let spread = report.measure(&format!("  a further step{suffix}"), "ms", further.collect());
    Ok(spread.map(|spread| spread.min))
}
