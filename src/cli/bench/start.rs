//! `start`: from exec to ready, and what an idle server holds.
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use tokio::net::UnixStream;

use super::http::{Line, get};
use super::land::Land;
use super::report::{Bound, Goal, Report};
use super::repos::Plan;

/// How long a server is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(3);
/// The longest start that is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// How long the server takes to be ready, and what it holds when idle
#[derive(Debug, Clone, Args)]
pub(super) struct StartArgs {
    /// Starts
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
}

pub(super) async fn run(args: &StartArgs, land: &mut Land) -> anyhow::Result<Report> {
    let mut report = Report::new("start", [("rounds", args.rounds)]);
    let mut ground = land.begin(&Plan::default()).await?;
    let (mut starts, mut bare) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        land.progress.say(&format!("start {} of {}", round + 1, args.rounds));
        land.stop(&ground).await?;
        bare.push(millis(tokio::task::block_in_place(version)?));
        let began = Instant::now();
        land.again(&ground)?;
        ready(&ground.socket(), began).await?;
        starts.push(millis(began.elapsed()));
    }
    ground = land.renewed(&ground).await?;
    land.progress.say("leaving the server alone");
    tokio::time::sleep(IDLE).await;
    let (serve, executor) = (ground.serve.held()?, ground.executor.held()?);
    let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let exec = report.measure("exec of the same program alone", "ms", bare);
    let starts = report.measure("exec → ready", "ms", starts).context("nothing was started")?;
    report.measure("PSS of serve, idle", "MB", vec![megabytes(serve.pss)]);
    report.measure("PSS of executor, idle", "MB", vec![megabytes(executor.pss)]);
    report.measure("threads of serve, idle", "", vec![serve.threads as f64]);
    let limit = exec.map(|exec| exec.p50);
    report.goals.push(Goal::time("exec → ready, median", "ms", starts.p50, limit, Bound::AtMost, 300.0));
    let both = megabytes(serve.pss + executor.pss);
    report.goals.push(Goal::count("PSS of serve and executor, idle", "MB", both, Bound::AtMost, 60.0));
    Ok(report)
}

/// Asks until the server says that it is ready.
pub(super) async fn ready(socket: &Path, began: Instant) -> anyhow::Result<()> {
    loop {
        if let Ok(stream) = UnixStream::connect(socket).await
            && Line::new(stream).ask(&get("/health/ready")).await.is_ok_and(|answer| answer.status == 200)
        {
            return Ok(());
        }
        ensure!(began.elapsed() < LIMIT, "the server was not ready after {} s", LIMIT.as_secs());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn version() -> anyhow::Result<Duration> {
    let program = std::env::current_exe().context("cannot find my own program")?;
    let began = Instant::now();
    Command::new(program).arg("--version").stdout(Stdio::null()).status().context("cannot run my own program")?;
    Ok(began.elapsed())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
