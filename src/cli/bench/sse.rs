//! `sse`: from the moment a step writes a line to the moment that each of its viewers has it.
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use futures::future::try_join_all;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::http;
use super::land::Land;
use super::report::{Bound, Goal, Report};
use super::repos::{Job, Plan, steps};
use crate::platform::{Clock as _, SystemClock};

const PIPELINE: &str = "sse";
/// Time for the viewers to come before the first line.
const GATHER: u64 = 3;

/// Viewers of a live log
#[derive(Debug, Clone, Args)]
pub(super) struct SseArgs {
    /// Viewers
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=500))]
    viewers: u64,
    /// Lines per second
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    rate: u64,
    /// Seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

/// What one viewer got.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) lines: u64,
    /// Lines that did not follow the one before them.
    pub(super) breaks: u64,
    pub(super) late: Vec<f64>,
}

pub(super) async fn run(args: &SseArgs, land: &mut Land) -> anyhow::Result<Report> {
    let size = [("viewers", args.viewers), ("rate", args.rate), ("seconds", args.seconds)];
    let mut report = Report::new("sse", size);
    let lines = args.rate * args.seconds;
    let ground = land.begin(&Plan { pipelines: vec![pipeline(args.rate, lines)], ..Plan::default() }).await?;
    land.progress.say("the machine's own: a line to as many sockets");
    let viewers = usize::try_from(args.viewers)?;
    let alone = sockets(viewers, args.rate, 2).await?;
    land.progress.say("viewers follow a job");
    let id = ground.trigger(PIPELINE).await?;
    let socket = ground.socket();
    let seen = try_join_all((0..viewers).map(|_| tokio::spawn(follow(socket.clone(), id.clone())))).await?;
    let seen = seen.into_iter().collect::<anyhow::Result<Vec<Seen>>>()?;
    ground.succeeded(&id).await?;
    let breaks: u64 = seen.iter().map(|seen| seen.breaks + seen.lines.abs_diff(lines)).sum();
    let late = seen.into_iter().flat_map(|seen| seen.late).collect();
    let alone = report.measure("line written → received, bare sockets", "ms", alone);
    let late = report.measure("line written → received", "ms", late).context("no line came")?;
    let limit = alone.map(|alone| alone.p99);
    report.goals.push(Goal::time("line written → received, p99", "ms", late.p99, limit, Bound::AtMost, 50.0));
    report.goals.push(Goal::count("lines left out, doubled or out of order", "", breaks as f64, Bound::AtMost, 0.0));
    Ok(report)
}

/// A step that prints numbered lines with the time of each.
pub(super) fn pipeline(rate: u64, lines: u64) -> Job {
    let program = format!(
        "import time\nbegin = time.time() + {GATHER}\nfor n in range({lines}):\n    \
         time.sleep(max(0, begin + n / {rate} - time.time()))\n    print('line', n, time.time_ns(), flush=True)\n"
    );
    Job::new(PIPELINE, steps(&format!("/usr/bin/python3 -c \"{program}\""), 1))
}

/// Follows a job to its end.
pub(super) async fn follow(socket: impl AsRef<Path>, id: String) -> anyhow::Result<Seen> {
    #[derive(Deserialize)]
    struct Piece {
        step: u32,
        text: String,
    }
    let mut events = http::stream(socket.as_ref(), &format!("/api/v1/jobs/{id}/events")).await?;
    let (mut seen, mut line, mut text) = (Seen::default(), String::new(), String::new());
    loop {
        line.clear();
        if events.read_line(&mut line).await? == 0 {
            return Ok(seen);
        }
        // `state` and `end` have other fields.
        let Some(data) = line.strip_prefix("data:") else { continue };
        let Ok(piece) = serde_json::from_str::<Piece>(data) else { continue };
        if piece.step != 1 {
            continue;
        }
        let now = SystemClock.now().as_nanosecond();
        text.push_str(&piece.text);
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        text.drain(..whole).as_str().lines().for_each(|line| seen.line(line, now));
    }
}

impl Seen {
    fn line(&mut self, line: &str, now: i128) {
        let mut words = line.split(' ');
        let (Some("line"), Some(n), Some(at)) = (words.next(), words.next(), words.next()) else { return };
        if n.parse() != Ok(self.lines) {
            self.breaks += 1;
        }
        self.lines += 1;
        if let Ok(at) = at.parse::<i128>() {
            self.late.push((now - at) as f64 / 1e6);
        }
    }
}

/// The same lines from one task to as many sockets.
async fn sockets(viewers: usize, rate: u64, seconds: u64) -> anyhow::Result<Vec<f64>> {
    let mut ends = Vec::new();
    let mut readers = Vec::new();
    for _ in 0..viewers {
        let (ours, theirs) = UnixStream::pair()?;
        ends.push(ours);
        readers.push(tokio::spawn(async move {
            let mut seen = Seen::default();
            let mut lines = BufReader::new(theirs).take(u64::MAX).lines();
            while let Some(line) = lines.next_line().await? {
                seen.line(&line, SystemClock.now().as_nanosecond());
            }
            anyhow::Ok(seen.late)
        }));
    }
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(rate)?);
    for n in 0..rate * seconds {
        ticks.tick().await;
        let line = format!("line {n} {}\n", SystemClock.now().as_nanosecond());
        for end in &mut ends {
            end.write_all(line.as_bytes()).await?;
        }
    }
    drop(ends);
    let mut late = Vec::new();
    for reader in readers {
        late.extend(reader.await??);
    }
    Ok(late)
}
