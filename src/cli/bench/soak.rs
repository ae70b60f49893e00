//! `soak`: everything at once for a while, and whether anything grows that should not.
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

use super::http::{Line, get};
use super::land::{Ground, Land};
use super::log;
use super::process::Held;
use super::report::{Bound, Goal, Report};
use super::repos::{Job, Plan, TEAMS, steps};
use super::rows;
use super::sse;
use super::webhook::{Sender, deliver};
use crate::model::job::Status;
use crate::platform::{SystemClock, SystemIds};
use crate::store::{Store, census};

/// Deliveries per second.
const DELIVERIES: u64 = 20;
/// Requests of pages per second.
const PAGES: u64 = 5;
/// Viewers of the live log.
const VIEWERS: usize = 10;
/// Lines of the large log.
const LINES: u64 = 20_000;
/// Growth between the first quarter and the end that is not called flat.
const FLAT: f64 = 1.2;

/// Jobs, deliveries, viewers, logs and pages at once
#[derive(Debug, Clone, Args)]
pub(super) struct SoakArgs {
    /// Minutes
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
}

pub(super) async fn run(args: &SoakArgs, land: &mut Land) -> anyhow::Result<Report> {
    ensure!(args.minutes > 0.0 && args.minutes <= 10_000.0, "--minutes takes more than 0 and at most 10,000");
    let lasting = Duration::from_secs_f64(args.minutes * 60.0);
    let mut report = Report::new("soak", [("seconds", lasting.as_secs())]);
    let line = "2026-01-01T00:00:00Z INFO a line of a log as programs write them";
    let team = |team| Job { team, ..Job::new(team, steps("true", 2)) };
    let loud = log::pipeline(&format!("yes '{line}' | head -n {LINES}"));
    let pipelines = TEAMS.into_iter().map(team).chain([loud, sse::pipeline(50, 500)]).collect();
    let ground = land.begin(&Plan { pipelines, ..Plan::default() }).await?;
    let stop = CancellationToken::new();
    let done = Arc::new(Done::default());
    let work = tokio::spawn(all(ground.clone(), Arc::clone(&done), stop.clone()));
    let began = Instant::now();
    let mut samples = Vec::new();
    let pause = (lasting / 40).clamp(Duration::from_millis(250), Duration::from_secs(10));
    while began.elapsed() < lasting && !work.is_finished() {
        tokio::time::sleep(pause).await;
        samples.push(Sample::take(&ground)?);
        let (jobs, seconds) = (done.jobs.load(Ordering::Relaxed), began.elapsed().as_secs());
        land.progress.say(&format!("{seconds} of {} s, {jobs} jobs", lasting.as_secs()));
    }
    stop.cancel();
    work.await.context("the load failed")??;
    land.progress.say("waiting for the last records");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let left = leftovers(&ground);
    land.stop(&ground).await?;
    rate(&mut report, &done, began.elapsed());
    flat(&mut report, &samples);
    report.goals.push(Goal::count("files of ended jobs with the executor", "", left, Bound::AtMost, 0.0));
    outcome(&mut report, &ground).await?;
    Ok(report)
}

/// What was done.
#[derive(Default)]
struct Done {
    jobs: AtomicU64,
    deliveries: AtomicU64,
    pages: AtomicU64,
    lines: AtomicU64,
    breaks: AtomicU64,
}

async fn all(ground: Ground, done: Arc<Done>, stop: CancellationToken) -> anyhow::Result<()> {
    let [red, blue] = TEAMS;
    tokio::try_join!(
        jobs(&ground, red, &done, &stop),
        jobs(&ground, blue, &done, &stop),
        jobs(&ground, "log", &done, &stop),
        watched(&ground, &done, &stop),
        deliveries(&ground, &done, &stop),
        pages(&ground, &done, &stop),
    )
    .map(|_| ())
}

async fn jobs(ground: &Ground, pipeline: &str, done: &Done, stop: &CancellationToken) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        let id = ground.trigger(pipeline).await?;
        ground.succeeded(&id).await?;
        done.jobs.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn watched(ground: &Ground, done: &Done, stop: &CancellationToken) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        let id = ground.trigger("sse").await?;
        let viewers = (0..VIEWERS).map(|_| sse::follow(ground.socket(), id.clone()));
        for seen in futures::future::try_join_all(viewers).await? {
            done.lines.fetch_add(seen.lines, Ordering::Relaxed);
            done.breaks.fetch_add(seen.breaks, Ordering::Relaxed);
        }
        ground.succeeded(&id).await?;
        done.jobs.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn deliveries(ground: &Ground, done: &Done, stop: &CancellationToken) -> anyhow::Result<()> {
    let mut sender = Sender::new(ground);
    let mut line = Line::new(TcpStream::connect(ground.address).await?);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(DELIVERIES)?);
    while !stop.is_cancelled() {
        ticks.tick().await;
        for request in sender.requests(1) {
            deliver(&mut line, &request, Instant::now()).await?;
        }
        done.deliveries.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn pages(ground: &Ground, done: &Done, stop: &CancellationToken) -> anyhow::Result<()> {
    let paths = ["/", "/pipelines", "/pipelines/red", "/api/v1/jobs?limit=200", "/api/v1/jobs?status=running"];
    let mut line = Line::new(UnixStream::connect(ground.socket()).await?);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(PAGES)?);
    for path in paths.iter().cycle() {
        ticks.tick().await;
        if stop.is_cancelled() {
            break;
        }
        let answer = line.ask(&get(path)).await?;
        ensure!(answer.status == 200, "{path} was answered {}", answer.status);
        done.pages.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

struct Sample {
    serve: Held,
    executor: Held,
}

impl Sample {
    fn take(ground: &Ground) -> anyhow::Result<Self> {
        Ok(Self { serve: ground.serve.held()?, executor: ground.executor.held()? })
    }
}

fn rate(report: &mut Report, done: &Done, took: Duration) {
    let all =
        [("jobs", &done.jobs), ("deliveries", &done.deliveries), ("pages", &done.pages), ("lines seen", &done.lines)];
    for (what, count) in all {
        let rate = count.load(Ordering::Relaxed) as f64 / took.as_secs_f64();
        report.measure(what, "1/s", vec![rate]);
    }
    let breaks = done.breaks.load(Ordering::Relaxed) as f64;
    report.goals.push(Goal::count("lines left out, doubled or out of order", "", breaks, Bound::AtMost, 0.0));
}

/// What the last quarter of the time held, beside the first.
fn flat(report: &mut Report, samples: &[Sample]) {
    type Part = (&'static str, &'static str, fn(&Sample) -> f64);
    let parts: [Part; 4] = [
        ("PSS of serve", "MB", |s| s.serve.pss as f64 / f64::from(1 << 20)),
        ("PSS of executor", "MB", |s| s.executor.pss as f64 / f64::from(1 << 20)),
        ("descriptors", "", |s| (s.serve.descriptors + s.executor.descriptors) as f64),
        ("threads", "", |s| (s.serve.threads + s.executor.threads) as f64),
    ];
    let quarter = (samples.len() / 4).max(1).min(samples.len());
    for (what, unit, part) in parts {
        let values = |samples: &[Sample]| samples.iter().map(part).collect::<Vec<f64>>();
        let first = report.measure(&format!("{what}, first quarter"), unit, values(&samples[..quarter]));
        let last = report.measure(&format!("{what}, last quarter"), unit, values(&samples[samples.len() - quarter..]));
        if let (Some(first), Some(last)) = (first, last) {
            let what = format!("{what}, last quarter beside the first");
            report.goals.push(Goal::ratio(&what, unit, last.p50, first.p50, Bound::AtMost, FLAT));
        }
    }
}

/// What ended jobs left with the executor.
fn leftovers(ground: &Ground) -> f64 {
    let count = |dir: &Path| fs::read_dir(dir).map_or(0, |entries| entries.count());
    let run = Path::new("/run/danube").join(&ground.instance);
    (count(&ground.executor_dir().join("jobs")) + count(&run.join("jobs")) + count(&run.join("crun"))) as f64
}

/// How every job ended, and what each left in the database.
async fn outcome(report: &mut Report, ground: &Ground) -> anyhow::Result<()> {
    let told = rows::jobs(&ground.data).await?;
    let failed = told.iter().filter(|told| told.job.status != Status::Success).count();
    report.goals.push(Goal::count("jobs that did not succeed", "", failed as f64, Bound::AtMost, 0.0));
    let unrecorded = told.iter().filter(|told| told.job.recorded_at.is_none()).count();
    report.goals.push(Goal::count("jobs without a signed record", "", unrecorded as f64, Bound::AtMost, 0.0));
    let store = Store::open(&ground.data, Arc::new(SystemClock), Arc::new(SystemIds::new()))?;
    let rows = store.read(census::rows).await?;
    let jobs = told.len().max(1) as f64;
    let owned = ["jobs", "steps", "journal", "attestations", "audit_log"];
    let owned: u64 = owned.iter().filter_map(|table| rows.get(*table)).sum();
    report.measure("rows per job", "", vec![owned as f64 / jobs]);
    Ok(())
}
