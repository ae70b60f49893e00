//! `danube logs`: what a job wrote.
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Args;

use super::client::{Client, ClientError, Connection, Events, JobEvent, JobName, command};
use super::style::{Filter, Look};

/// Print the log of a job
///
/// Pipes and files get the bytes as they were written; on a terminal colours pass and commands to the
/// terminal do not.
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// The job: web#42, or its id
    job: JobName,
    /// Only this step; 0 is the danubefile itself
    #[arg(long, value_name = "N")]
    step: Option<u32>,
    /// Go on until the job has ended; what runs side by side comes as it arrives
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: &LogsArgs) -> anyhow::Result<ExitCode> {
    command(&args.connection, |client| async move {
        let mut out = Out::stdout();
        let done =
            if args.follow { follow(&client, args, &mut out).await } else { whole(&client, args, &mut out).await };
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
    client.stream(request, |bytes| out.write(bytes)).await
}

async fn follow(client: &Client, args: &LogsArgs, out: &mut Out) -> Result<(), ClientError> {
    let mut events = Events::of(client, &args.job);
    while let Some(event) = events.next().await? {
        match event {
            JobEvent::Log(piece) if args.step.is_none_or(|step| step == piece.step) => out.write(&piece.bytes)?,
            JobEvent::Lost(error) => eprintln!("danube: {}; trying again", super::style::plain(&error.to_string())),
            _ => {}
        }
    }
    Ok(())
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
