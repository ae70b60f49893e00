//! `danube logs`: what a job wrote.
mod grep;
mod timed;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use regex::bytes::Regex;

use super::client::{Client, ClientError, Connection, Events, JobEvent, JobName, command};
use super::since::since;
use super::style::{Filter, Look};
use grep::{Grep, expression};

/// Print the log of a job
///
/// Pipes and files get the bytes as they were written; on a terminal colours pass and commands to the
/// terminal do not. With --timestamps or --since lines come without colours, step after step.
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// The job: web#42, or its id
    job: JobName,
    /// Only this step; 0 is the danubefile itself
    #[arg(long, value_name = "N")]
    step: Option<u32>,
    /// Go on until the job has ended, over restarts of the server; what runs side by side comes as it arrives
    #[arg(short, long)]
    follow: bool,
    /// Put the time before each line
    #[arg(short, long, conflicts_with = "follow")]
    timestamps: bool,
    /// Only lines written since then: 30min, 24h, or 2027-01-15T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since, conflicts_with = "follow")]
    since: Option<Timestamp>,
    /// Only these lines, numbered: 1003, 990-1010, or 990- to the end
    #[arg(long, value_name = "A-B", value_parser = lines, requires = "step", conflicts_with = "follow")]
    lines: Option<(u64, u64)>,
    /// Only lines that match this regular expression; (?i) before it makes case no matter
    #[arg(long, value_name = "REGEX", value_parser = expression)]
    grep: Option<Regex>,
    #[command(flatten)]
    connection: Connection,
}

/// `1003`, `990-1010` or `990-`.
fn lines(text: &str) -> Result<(u64, u64), String> {
    let number = |text: &str| text.parse::<u64>().ok().filter(|line| *line > 0);
    let range = match text.split_once('-') {
        None => number(text).map(|line| (line, line)),
        Some((first, "")) => number(first).map(|first| (first, u64::MAX)),
        Some((first, last)) => number(first).zip(number(last)).filter(|(first, last)| first <= last),
    };
    range.ok_or_else(|| "give a line, or the first and the last: 1003, 990-1010, 990-".to_owned())
}

pub(super) fn run(args: &LogsArgs) -> anyhow::Result<ExitCode> {
    command(&args.connection, |client| async move {
        let mut out = Out::stdout();
        let done = match args {
            LogsArgs { follow: true, .. } => follow(&client, args, &mut out).await,
            LogsArgs { timestamps: false, since: None, lines: None, .. } => whole(&client, args, &mut out).await,
            _ => timed::print(&client, args, |line| out.write(line)).await,
        };
        match done.and_then(|()| out.finish()) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            // Whoever read has seen enough.
            Err(error) if error.is_closed_pipe() => Ok(ExitCode::SUCCESS),
            Err(error) => Err(error),
        }
    })
}

async fn whole(client: &Client, args: &LogsArgs, out: &mut Out) -> Result<(), ClientError> {
    let request = match args.step {
        Some(step) => args.job.get(&format!("/steps/{step}/log")).about(format!("step {step} of job {}", args.job)),
        None => args.job.get("/log"),
    };
    let mut grep = args.grep.as_ref().map(Grep::of);
    client
        .stream(request, |bytes| match &mut grep {
            Some(grep) => grep.push(bytes, |line| out.write(line)),
            None => out.write(bytes),
        })
        .await?;
    grep.map_or(Ok(()), |grep| grep.finish(|line| out.write(line)))
}

async fn follow(client: &Client, args: &LogsArgs, out: &mut Out) -> Result<(), ClientError> {
    let mut events = Events::of(client, &args.job);
    let mut greps = std::collections::BTreeMap::new();
    while let Some(event) = events.next().await? {
        match event {
            JobEvent::Log(piece) if args.step.is_none_or(|step| step == piece.step) => match &args.grep {
                // Lines of steps that run side by side are put together each for itself.
                Some(wanted) => greps
                    .entry((piece.step, piece.attempt))
                    .or_insert_with(|| Grep::of(wanted))
                    .push(&piece.bytes, |line| out.write(line))?,
                None => out.write(&piece.bytes)?,
            },
            JobEvent::Lost(error) => eprintln!("danube: {}; trying again", super::style::plain(&error.to_string())),
            _ => {}
        }
    }
    greps.into_values().try_for_each(|grep| grep.finish(|line| out.write(line)))
}

/// Standard output, tamed where it is a terminal.
struct Out {
    filter: Option<Filter>,
}

impl Out {
    fn stdout() -> Self {
        let stdout = io::stdout();
        Self { filter: stdout.is_terminal().then(|| Filter::new(Look::of(&stdout).has_colour())) }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        let shown = self.filter.as_mut().map(|filter| filter.push(bytes));
        let mut out = io::stdout().lock();
        out.write_all(shown.as_deref().unwrap_or(bytes)).and_then(|()| out.flush()).map_err(ClientError::output)
    }

    fn finish(&mut self) -> Result<(), ClientError> {
        let rest = self.filter.as_mut().map(Filter::finish).unwrap_or_default();
        io::stdout().lock().write_all(&rest).map_err(ClientError::output)
    }
}
