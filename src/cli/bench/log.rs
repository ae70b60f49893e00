//! `log`: a step that prints much, beside the same bytes through a pipe into a file.
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

use super::disk;
use super::http;
use super::land::{Ground, Land};
use super::report::{Bound, Goal, Report};
use super::repos::{Job, Plan, steps};
use super::rows::{self, millis};

const PIPELINE: &str = "log";
/// Secrets that every byte is searched for.
const SECRETS: u64 = 5;
/// 100 bytes with the line's end.
const LINE: &str =
    "2026-01-01T00:00:00Z INFO  a line of a log as programs write them, with some numbers: 0123456789 abcdef";
/// How often memory is read.
const LOOK: Duration = Duration::from_millis(50);

/// A step that prints many lines, with five secrets loaded
#[derive(Debug, Clone, Args)]
pub(super) struct LogArgs {
    /// Lines of 101 bytes
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    lines: u64,
    /// Jobs with and as many without a viewer that does not read
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
}

pub(super) async fn run(args: &LogArgs, land: &mut Land) -> anyhow::Result<Report> {
    let mut report = Report::new("log", [("lines", args.lines), ("rounds", args.rounds)]);
    let command = format!("yes '{LINE}' | head -n {}", args.lines);
    let ground = land.begin(&Plan { pipelines: vec![pipeline(&command)], ..Plan::default() }).await?;
    let bytes = (LINE.len() as u64 + 1) * args.lines;
    let expected = tokio::task::block_in_place(|| expected(args.lines));
    let idle = ground.pss()?;
    let stop = CancellationToken::new();
    let peak = tokio::spawn(peak(ground.clone(), stop.clone()));
    let (mut alone, mut plain, mut stalled) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..args.rounds {
        land.progress.say(&format!("round {} of {}", round + 1, args.rounds));
        alone.push(tokio::task::block_in_place(|| disk::piped(&ground.dir, &command))?);
        plain.push(print(&ground, false, &expected).await?);
        stalled.push(print(&ground, true, &expected).await?);
    }
    stop.cancel();
    let peak = peak.await??;
    land.stop(&ground).await?;

    let told = rows::jobs(&ground.data).await?;
    let sealed = told.iter().filter(|t| t.steps.get(1).and_then(|s| s.log_sha256.as_ref()) == Some(&expected)).count();
    let times = |ids: &[String]| -> Vec<f64> {
        let of = told.iter().filter(|told| ids.contains(&told.job.id.to_string()));
        of.filter_map(|told| told.steps.get(1)).filter_map(|s| Some(millis(s.started_at?, s.finished_at?))).collect()
    };
    let megabytes = bytes as f64 / 1e6;
    let alone = alone.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
    let alone = report.measure("the same bytes through cat into a file", "ms", alone).context("no limit")?;
    let plain = report.measure("the step", "ms", times(&plain)).context("no step")?;
    let stalled =
        report.measure("the step with a viewer that does not read", "ms", times(&stalled)).context("no step")?;
    let speed = |ms: f64| megabytes * 1000.0 / ms;
    let (what, seen, limit) = ("speed, best of both", speed(plain.min), speed(alone.min));
    report.goals.push(Goal::ratio(what, "MB/s", seen, limit, Bound::AtLeast, 0.5));
    let what = "with a stalled viewer, beside without";
    report.goals.push(Goal::ratio(what, "ms", stalled.min, plain.min, Bound::AtMost, 1.05));
    let wrong = (args.rounds * 2).saturating_sub(sealed as u64) as f64;
    report.goals.push(Goal::count("logs whose hash is not the producer's", "", wrong, Bound::AtMost, 0.0));
    let grown = peak.saturating_sub(idle) as f64 / f64::from(1 << 20);
    report.goals.push(Goal::count("growth of PSS of serve and executor", "MB", grown, Bound::AtMost, 16.0));
    report.notes.push(format!(
        "{megabytes:.0} MB a time. The step's time holds its container's start and end and the fsync of its log; \
         cat's does not sync."
    ));
    Ok(report)
}

/// A step that prints, in a job whose secrets are searched for.
pub(super) fn pipeline(command: &str) -> Job {
    let secrets = (0..SECRETS).map(|n| format!("BENCH_LOG_{n}")).collect::<Vec<_>>();
    let given: String = secrets.iter().map(|key| format!("{key}=secrets.get(\"{key}\"), ")).collect();
    let script = steps(command, 1)
        .replace("import pipeline, step", "import pipeline, secrets, step")
        .replace("network=False", &format!("network=False, env=dict({})", given.trim_end_matches(", ")));
    Job { secrets, ..Job::new(PIPELINE, script) }
}

/// One job; its log is read back and compared.
async fn print(ground: &Ground, stalled: bool, expected: &str) -> anyhow::Result<String> {
    let id = ground.trigger(PIPELINE).await?;
    // Kept until the job has ended, and never read.
    let viewer = match stalled {
        true => Some(http::stream(&ground.socket(), &format!("/api/v1/jobs/{id}/events")).await?),
        false => None,
    };
    ground.succeeded(&id).await?;
    drop(viewer);
    let mut log = http::stream(&ground.socket(), &format!("/api/v1/jobs/{id}/steps/1/log")).await?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match log.read(&mut buffer).await? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    ensure!(hex::encode(hash.finalize()) == expected, "the log that the server gives is not what the step printed");
    Ok(id)
}

fn expected(lines: u64) -> String {
    let (mut hash, line) = (Sha256::new(), format!("{LINE}\n"));
    (0..lines).for_each(|_| hash.update(line.as_bytes()));
    hex::encode(hash.finalize())
}

/// The most memory that server and executor held until told to stop.
async fn peak(ground: Ground, stop: CancellationToken) -> anyhow::Result<u64> {
    let mut most = 0;
    while !stop.is_cancelled() {
        most = most.max(ground.pss()?);
        tokio::time::sleep(LOOK).await;
    }
    Ok(most)
}
