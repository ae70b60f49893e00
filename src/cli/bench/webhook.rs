//! `webhook`: signed deliveries that are answered once they would survive a power cut.
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use futures::future::try_join_all;
use ring::hmac;
use tokio::net::TcpStream;

use super::burst;
use super::disk;
use super::http::Line;
use super::land::{Ground, Land};
use super::report::{Bound, Goal, Report};
use super::repos::{Job, Plan, TEAMS, steps};

/// Writes that share one commit of the store.
const GROUP: usize = 64;
/// Group commits of a disk that takes 4 ms for a sync: up to here a delivery waits for the disk most of all.
const WAITING_DISK: f64 = 16_000.0;
/// Bytes of a delivery's row, about.
const RECORD: usize = 600;
/// How long the disk's own limit is measured, each time.
const LIMIT: Duration = Duration::from_secs(1);
/// Rounds of limit and deliveries.
const ROUNDS: u64 = 3;

/// Deliveries of a forge, acknowledged when they are safe
#[derive(Debug, Clone, Args)]
pub(super) struct WebhookArgs {
    /// Deliveries, as fast as they are taken
    #[arg(long, default_value_t = 12_000, value_parser = clap::value_parser!(u64).range(3..=10_000_000))]
    deliveries: u64,
    /// Connections that deliver
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=512))]
    connections: u64,
    /// Deliveries per second while jobs run
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// Seconds of that
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

pub(super) async fn run(args: &WebhookArgs, land: &mut Land) -> anyhow::Result<Report> {
    let size = [("deliveries", args.deliveries), ("connections", args.connections), ("rate", args.rate)];
    let mut report = Report::new("webhook", size.into_iter().chain([("seconds", args.seconds)]));
    let pipelines = vec![Job::new(TEAMS[0], steps("true", 1))];
    let ground = land.begin(&Plan { pipelines, ..Plan::default() }).await?;
    let (mut limits, mut rates, mut times) = (Vec::new(), Vec::new(), Vec::new());
    let mut sender = Sender::new(&ground);
    for round in 0..ROUNDS {
        land.progress.say(&format!("round {} of {ROUNDS}", round + 1));
        limits.push(tokio::task::block_in_place(|| disk::group_commits(&ground.dir, GROUP, RECORD, LIMIT))?);
        let requests = sender.requests(args.deliveries / ROUNDS);
        let began = Instant::now();
        let sent = requests.len() as f64;
        times.extend(flood(&ground, requests, usize::try_from(args.connections)?).await?);
        rates.push(sent / began.elapsed().as_secs_f64());
    }
    land.progress.say("deliveries at a steady rate while jobs run");
    let jobs = burst::trigger(&ground, TEAMS[0], args.seconds * 10);
    let requests = sender.requests(args.rate * args.seconds);
    let (paced, started) = tokio::join!(paced(&ground, requests, args), jobs);
    started?;
    report.measure("acknowledgement, as fast as they are taken", "ms", times);
    let paced = report.measure("acknowledgement at the steady rate, jobs running", "ms", paced?);
    let syncs = limits.iter().map(|rate| GROUP as f64 * 1000.0 / rate).collect();
    report.measure("sync of a group by the disk alone", "ms", syncs);
    let limits = report.measure("group commits of the disk alone", "1/s", limits).context("no limit")?;
    let rates = report.measure("durable acknowledgements", "1/s", rates).context("no delivery")?;
    let (what, wanted) = ("durable acknowledgements per second", 2000.0);
    report.goals.push(Goal::time(what, "1/s", rates.max, Some(limits.max), Bound::AtLeast, wanted));
    if limits.max <= WAITING_DISK {
        let what = "the same, beside the disk's own group commits";
        report.goals.push(Goal::ratio(what, "1/s", rates.max, limits.max, Bound::AtLeast, 0.125));
    } else {
        report.notes.push(format!(
            "The disk alone would sync {:.0} deliveries a second in groups of {GROUP}. Where that is more than \
             {WAITING_DISK}, deliveries wait for the processor, and a ratio to the disk would tell nothing.",
            limits.max
        ));
    }
    if let Some(paced) = paced {
        let what = format!("p99 at {}/s while jobs run", args.rate);
        report.goals.push(Goal::time(&what, "ms", paced.p99, None, Bound::AtMost, 50.0));
    }
    Ok(report)
}

/// Makes deliveries, each with an id of its own.
pub(super) struct Sender {
    key: hmac::Key,
    run: String,
    next: u64,
}

impl Sender {
    pub(super) fn new(ground: &Ground) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, ground.secret.expose().as_bytes());
        Self { key, run: ground.instance.clone(), next: 0 }
    }

    /// So many whole requests: pushes to a repository that no pipeline builds.
    pub(super) fn requests(&mut self, count: u64) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.request()).collect()
    }

    fn request(&mut self) -> Vec<u8> {
        self.next += 1;
        let (run, number) = (&self.run, self.next);
        let body = format!(
            "{{\"ref\":\"refs/heads/main\",\"before\":\"{before}\",\"after\":\"{number:040x}\",\"created\":false,\
             \"deleted\":false,\"repository\":{{\"full_name\":\"bench/none\",\
             \"clone_url\":\"https://git.example.com/bench/none.git\"}}}}",
            before = "0".repeat(39) + "1",
        );
        let signature = hex::encode(hmac::sign(&self.key, body.as_bytes()));
        format!(
            "POST /webhooks/github HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             X-GitHub-Event: push\r\nX-GitHub-Delivery: {run}-{number}\r\nX-Hub-Signature-256: sha256={signature}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

/// Sends all requests over so many connections; how long each answer took, in milliseconds.
async fn flood(ground: &Ground, requests: Vec<Vec<u8>>, connections: usize) -> anyhow::Result<Vec<f64>> {
    let share = requests.len().div_ceil(connections).max(1);
    let senders = requests.chunks(share).map(|requests| async move {
        let mut line = Line::new(TcpStream::connect(ground.address).await?);
        let mut times = Vec::with_capacity(requests.len());
        for request in requests {
            times.push(deliver(&mut line, request, Instant::now()).await?);
        }
        anyhow::Ok(times)
    });
    Ok(try_join_all(senders).await?.concat())
}

/// Sends at a steady rate, whatever the answers do; how long after its turn each was answered.
async fn paced(ground: &Ground, requests: Vec<Vec<u8>>, args: &WebhookArgs) -> anyhow::Result<Vec<f64>> {
    let connections = usize::try_from(args.connections)?;
    let began = Instant::now() + Duration::from_millis(100);
    let requests = &requests;
    let senders = (0..connections).map(|first| async move {
        let mut line = Line::new(TcpStream::connect(ground.address).await?);
        let mut times = Vec::new();
        for (number, request) in requests.iter().enumerate().skip(first).step_by(connections) {
            let turn = began + Duration::from_secs_f64(number as f64 / args.rate as f64);
            tokio::time::sleep_until(turn.into()).await;
            times.push(deliver(&mut line, request, turn).await?);
        }
        anyhow::Ok(times)
    });
    Ok(try_join_all(senders).await?.concat())
}

/// Sends one delivery; milliseconds since its turn.
pub(super) async fn deliver(line: &mut Line<TcpStream>, request: &[u8], turn: Instant) -> anyhow::Result<f64> {
    let answer = line.ask(request).await?;
    let body = String::from_utf8_lossy(&answer.body);
    ensure!(answer.status == 202, "a delivery was answered {}: {body}", answer.status);
    Ok(turn.elapsed().as_secs_f64() * 1000.0)
}
