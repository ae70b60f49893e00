//! `danube bench`: figures that anybody can take again, each beside what the machine itself gives in the same run.
//!
//! Every bench has a server of its own, in a temporary directory, on loopback, and leaves nothing behind. What is
//! checked are ratios to the machine's own limit, and counts; a time alone never fails a check.
mod burst;
mod crun;
mod disk;
mod egress;
mod fill;
mod http;
mod image;
mod land;
mod latency;
mod lists;
mod log;
mod machine;
mod process;
mod progress;
mod report;
mod repos;
mod rows;
mod seed;
mod soak;
mod spread;
mod sse;
mod start;
mod table;
mod webhook;

use std::io::Write as _;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};

use super::privileges;
use super::say::{say, say_json};
use super::style::Look;
use land::Land;
use progress::Progress;
use report::Report;

/// Measure this machine's Danube, on a server of its own
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    bench: Bench,
    /// Print the report as JSON
    #[arg(long, global = true)]
    json: bool,
    /// Also add the goals to this file, as rows of a Markdown table
    #[arg(long, global = true, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Exit with 1 where a ratio to the machine's own limit, a count or a size misses its goal; a time never does
    #[arg(long, global = true)]
    check: bool,
}

#[derive(Debug, Subcommand)]
enum Bench {
    Latency(latency::LatencyArgs),
    Burst(burst::BurstArgs),
    Log(log::LogArgs),
    Sse(sse::SseArgs),
    Webhook(webhook::WebhookArgs),
    Start(start::StartArgs),
    Seed(seed::SeedArgs),
    Soak(soak::SoakArgs),
    Egress(egress::EgressArgs),
    Image(image::ImageArgs),
}

pub(super) fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        bail!("danube bench needs root, because it makes containers: try `sudo danube bench`");
    }
    privileges::find_shim()?;
    // The server reads the repositories as another user, whatever this shell's mask is.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    privileges::raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(measured(&args.bench))?;
    if let Some(path) = &args.markdown {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| file.write_all(table::markdown(&report).as_bytes()));
        written.with_context(|| format!("cannot add to {}", path.display()))?;
    }
    if args.json {
        say_json(&report)?;
    } else {
        say(&table::text(&report, Look::of(&std::io::stdout())))?;
    }
    Ok(if args.check && !report.passes() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs the bench and clears away what it began, however it ended.
async fn measured(bench: &Bench) -> anyhow::Result<Report> {
    let mut stop = pin!(super::serve::interrupted());
    let mut land = Land::new(Progress::start());
    // First the ear for Ctrl-C, then the work.
    let result = tokio::select! {
        biased;
        () = &mut stop => Err(anyhow!("stopped before the end")),
        result = play(bench, &mut land) => result,
    };
    let words = if result.is_err() { land.last_words() } else { Vec::new() };
    let servers = land.servers();
    let complaints = land.clear().await;
    for line in words.iter().map(|line| format!("  {line}")).chain(complaints.iter().cloned()) {
        eprintln!("{line}");
    }
    let report = Report { servers, ..result? };
    if !complaints.is_empty() {
        bail!("not everything could be removed");
    }
    Ok(report)
}

async fn play(bench: &Bench, land: &mut Land) -> anyhow::Result<Report> {
    match bench {
        Bench::Latency(args) => latency::run(args, land).await,
        Bench::Burst(args) => burst::run(args, land).await,
        Bench::Log(args) => log::run(args, land).await,
        Bench::Sse(args) => sse::run(args, land).await,
        Bench::Webhook(args) => webhook::run(args, land).await,
        Bench::Start(args) => start::run(args, land).await,
        Bench::Seed(args) => seed::run(args, land).await,
        Bench::Soak(args) => soak::run(args, land).await,
        Bench::Egress(args) => tokio::task::block_in_place(|| egress::run(args)),
        Bench::Image(args) => image::run(args, land).await,
    }
}
