//! `burst`: many jobs at once, of two teams: how many a second, at what cost, and whether both get their turn.
use std::time::Duration;

use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::crun::{self, Container};
use super::land::{Ground, Land};
use super::report::{Bound, Goal, Report};
use super::repos::{Job, Plan, TEAMS, steps};
use super::rows::{self, Told, millis};
use crate::platform::{Clock as _, SystemClock};

/// Jobs a second that Laminar was measured to run on a machine of this class, without containers.
const LAMINAR: f64 = 35.0;
/// Containers of a job with one step: the workspace's helper, the coordinator, the step.
const CONTAINERS: f64 = 3.0;
/// Requests that are on their way at once.
const ASKING: usize = 8;
/// How long the machine's own limit is measured, before and after.
const LIMIT: Duration = Duration::from_secs(2);

/// Many jobs of one step at once, half of each of two teams
#[derive(Debug, Clone, Args)]
pub(super) struct BurstArgs {
    /// Jobs
    #[arg(short = 'n', default_value_t = 200, value_parser = clap::value_parser!(u64).range(2..=100_000))]
    n: u64,
    /// Jobs that run at once [default: what the product does by itself]
    #[arg(long)]
    running: Option<u32>,
}

pub(super) async fn run(args: &BurstArgs, land: &mut Land) -> anyhow::Result<Report> {
    let running = args.running.unwrap_or(crate::model::settings::Global::default().max_running_jobs);
    let mut report = Report::new("burst", [("n", args.n), ("running", u64::from(running))]);
    let team = |team| Job { team, ..Job::new(team, steps("true", 1)) };
    let pipelines = TEAMS.into_iter().map(team).chain([crun::pipeline()]).collect();
    let ground = land.begin(&Plan { pipelines, running: args.running, ..Plan::default() }).await?;
    let container = Container::export(&ground).await?;
    for team in TEAMS {
        ground.succeeded(&ground.trigger(team).await?).await?;
    }
    let beside = usize::try_from(running)?.min(16);
    let limit = || tokio::task::block_in_place(|| container.rate(beside, LIMIT));
    land.progress.say("measuring the machine's own containers per second");
    let before = limit()?;
    let cpu = ground.cpu()?;
    let asked = SystemClock.now();
    // All of the first team stand in the queue before the second comes: it must not wait for their end.
    for team in TEAMS {
        land.progress.say(&format!("starting jobs of the team {team}"));
        trigger(&ground, team, args.n / 2).await?;
    }
    wait(&ground, land).await?;
    let used = ground.cpu()?;
    let after = limit()?;
    land.stop(&ground).await?;

    let told = rows::jobs(&ground.data).await?;
    let burst: Vec<&Told> = told.iter().filter(|told| told.job.created_at >= asked).collect();
    let jobs = burst.len() as f64;
    let ends = burst.iter().filter_map(|told| told.job.finished_at).max().unwrap_or(asked);
    let rate = jobs * 1000.0 / millis(asked, ends);
    let waits = |part: fn(&Told) -> Option<f64>| burst.iter().filter_map(|told| part(told)).collect::<Vec<f64>>();
    report.measure("created → started", "ms", waits(|t| Some(millis(t.job.created_at, t.job.started_at?))));
    report.measure("started → finished", "ms", waits(|t| Some(millis(t.job.started_at?, t.job.finished_at?))));
    report.measure("containers per second of crun alone", "1/s", vec![before, after]);
    let own = (used.own - cpu.own).as_secs_f64() * 1000.0 / jobs;
    let children = (used.children - cpu.children).as_secs_f64() * 1000.0 / jobs;
    report.measure("CPU of their children (git, crun, rm) per job", "ms", vec![children]);
    let limit = (before + after) / 2.0 / CONTAINERS;
    report.goals.push(Goal::time("jobs per second", "1/s", rate, Some(limit), Bound::AtLeast, LAMINAR));
    report.goals.push(Goal::time("CPU of serve and executor per job", "ms", own, None, Bound::AtMost, 5.0));
    if let Some(share) = larger_share(&burst) {
        report.goals.push(Goal::count("larger team's share of starts", "", share, Bound::AtMost, 0.6));
    }
    report.notes.push(format!(
        "Beside the jobs per second stands what {beside} crun at once do with a step's config.json, for the \
         {CONTAINERS} containers of a job. Laminar, without containers: {LAMINAR} jobs per second on such a machine."
    ));
    Ok(report)
}

/// Starts so many jobs of a pipeline.
pub(super) async fn trigger(ground: &Ground, pipeline: &str, jobs: u64) -> anyhow::Result<()> {
    let asked = stream::iter(0..jobs).map(|_| ground.trigger(pipeline)).buffer_unordered(ASKING);
    asked.try_for_each(|_| futures::future::ready(Ok(()))).await
}

/// Waits until nothing waits or runs. It asks for one job at a time, and seldom: what an answer costs the server would
/// be counted as the cost of its jobs.
async fn wait(ground: &Ground, land: &Land) -> anyhow::Result<()> {
    land.progress.say("waiting for the last job");
    for status in ["pending", "running"] {
        loop {
            let page = ground.api.get(&format!("/api/v1/jobs?status={status}&limit=1")).await?;
            if page["jobs"].as_array().is_none_or(Vec::is_empty) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    Ok(())
}

/// Of the starts while both teams waited, the part that went to the one that got more. None: too few to tell.
fn larger_share(jobs: &[&Told]) -> Option<f64> {
    let of = |team: &'static str| jobs.iter().filter(move |told| told.job.team == team);
    let first_of_second = of(TEAMS[1]).map(|told| told.job.created_at).min()?;
    // A team waits for as long as its last job has not started.
    let last = TEAMS.iter().filter_map(|team| of(team).filter_map(|told| told.job.started_at).max()).min()?;
    let within = |team| {
        of(team).filter_map(|t| t.job.started_at).filter(|at| *at >= first_of_second && *at <= last).count() as f64
    };
    let [a, b] = TEAMS.map(within);
    (a + b >= 20.0).then(|| a.max(b) / (a + b))
}
