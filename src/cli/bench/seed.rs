//! `seed`: lists of a server with many jobs, beside the same lists of one with few.
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Args;
use tokio::net::UnixStream;

use super::fill;
use super::http::{Line, get};
use super::land::{Ground, Land};
use super::lists;
use super::report::{Bound, Goal, Report};
use super::repos::{Job, Plan, TEAMS, steps};
use super::start;

/// The size that the other is compared with.
const FEW: u64 = 10_000;
/// Pipelines, half of each team.
const PIPELINES: usize = 40;
/// Requests of each list that are not counted.
const WARM: u64 = 5;
/// Pages of 200 rows before the one that is asked for.
const BACK: usize = 5;

/// Every list with very many jobs in the database
#[derive(Debug, Clone, Args)]
pub(super) struct SeedArgs {
    /// Jobs
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100..=20_000_000))]
    jobs: u64,
    /// Requests of each list
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    requests: u64,
}

pub(super) async fn run(args: &SeedArgs, land: &mut Land) -> anyhow::Result<Report> {
    let mut report = Report::new("seed", [("jobs", args.jobs), ("requests", args.requests)]);
    let job = |n: usize| Job { team: TEAMS[n % 2], ..Job::new(&format!("p{n}"), steps("true", 1)) };
    let ground = land.begin(&Plan { pipelines: (0..PIPELINES).map(job).collect(), ..Plan::default() }).await?;
    let few = FEW.min(args.jobs / 2);
    let small = measure(land, &ground, few, args.requests, few).await?;
    let large = measure(land, &ground, args.jobs - few, args.requests, args.jobs).await?;
    let (mut worst, mut worst_list) = (0.0_f64, String::new());
    let (mut grown, mut grown_list) = ((0.0, 1.0), String::new());
    for (first, then) in small.into_iter().zip(large) {
        let List { what, bytes, times } = first;
        let small = report.measure(&format!("{what}, {few} jobs"), "ms", times).context("no answer")?;
        let large = report.measure(&format!("{what}, {} jobs", args.jobs), "ms", then.times).context("no answer")?;
        if large.p99 > worst {
            (worst, worst_list) = (large.p99, what.clone());
        }
        // An answer with more rows takes longer for that, not for the size of the database.
        let alike = then.bytes <= bytes + bytes / 4;
        if alike && large.min / small.min > grown.0 / grown.1 {
            (grown, grown_list) = ((large.min, small.min), what);
        }
    }
    let what = format!("slowest p99 of a list ({worst_list})");
    report.goals.push(Goal::time(&what, "ms", worst, None, Bound::AtMost, 50.0));
    let what = format!("most grown minimum of a list ({grown_list})");
    report.goals.push(Goal::ratio(&what, "ms", grown.0, grown.1, Bound::AtMost, 1.5));
    report.notes.push(format!(
        "The machine's column is the same list with {few} jobs; minima, for a load of the machine only adds. Lists \
         whose answer has more rows with more jobs count for the slowest p99 alone."
    ));
    Ok(report)
}

/// What a list came to.
struct List {
    what: String,
    /// Bytes of its answer.
    bytes: usize,
    times: Vec<f64>,
}

/// Fills up, starts the server again and asks for every list.
async fn measure(land: &mut Land, ground: &Ground, more: u64, requests: u64, all: u64) -> anyhow::Result<Vec<List>> {
    land.stop(ground).await?;
    let progress = land.progress;
    let marks = fill::fill(&ground.data, more, all, |done| {
        progress.say(&format!("{done} of {more} jobs are stored"));
    })
    .await?;
    land.again(ground)?;
    start::ready(&ground.socket(), Instant::now()).await?;
    let mut line = Line::new(UnixStream::connect(ground.socket()).await?);
    let mut asked = Vec::new();
    for list in lists::every(&marks) {
        progress.say(&format!("asking for {}", list.what));
        let request = get(&if list.deep { deep(&mut line, list.path).await? } else { list.path });
        let (mut bytes, mut times) = (0, Vec::new());
        for n in 0..requests + WARM {
            let began = Instant::now();
            let answer = line.ask(&request).await.with_context(|| format!("no answer to {}", list.what))?;
            let took = began.elapsed();
            ensure!(answer.status == 200, "{} was answered {}", list.what, answer.status);
            bytes = answer.body.len();
            if n >= WARM {
                times.push(took.as_secs_f64() * 1000.0);
            }
        }
        asked.push(List { what: list.what, bytes, times });
    }
    Ok(asked)
}

/// The address of a page further back in a list of the API: its cursors are the server's own to make.
async fn deep(line: &mut Line<UnixStream>, path: String) -> anyhow::Result<String> {
    let mut cursor = String::new();
    for _ in 0..BACK {
        let answer = line.ask(&get(&format!("{path}&limit=200{cursor}"))).await?;
        ensure!(answer.status == 200, "{path} was answered {}", answer.status);
        let page: serde_json::Value = serde_json::from_slice(&answer.body)?;
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    Ok(format!("{path}{cursor}"))
}
