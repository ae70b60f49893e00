//! `danube replay`: the danubefile of a job that has ended, once more, in the Python of this machine.
//!
//! Every call of the SDK is answered from the record: no container, no network, no secret, and nothing of the job is
//! changed. The danubefile itself runs with the rights of the person, as a program of the repository would.
mod kept;
mod python;
mod served;

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::client::{Connection, JobName};
use super::style::plain;
use crate::model::job::Status;
use crate::orchestrator::{Context, RecordedCall};
use python::Python;

/// Run an ended job's danubefile again with what was recorded, in a debugger, on this machine
///
/// Every call is answered from the job's journal: no container, no network, no value of a secret. The danubefile runs in
/// your own Python with your rights. It stops at the line that failed, with the recorded values in its variables.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The job: web#42, or its id; or the repository of a `danube run`
    #[arg(value_name = "JOB|PATH")]
    job: What,
    /// Stop before this line of the danubefile as well
    #[arg(long = "break", value_name = "LINE", value_parser = clap::value_parser!(u32).range(1..))]
    line: Option<u32>,
    /// Where it stops: in Python's debugger, or nowhere: the lines with their values are printed
    /// [default: pdb on a terminal, none elsewhere]
    #[arg(long, value_name = "pdb|none", hide_possible_values = true)]
    debugger: Option<Debugger>,
    /// The interpreter, 3.11 or newer
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: PathBuf,
    /// The checkout to run instead of the job's commit, to try a change [default for a PATH: the repository as it is]
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    /// Where the `danube run` of a PATH kept its journal [default: .danube in the repository]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Debugger {
    Pdb,
    None,
}

/// A job of a server, or a repository that was run here.
#[derive(Debug, Clone)]
enum What {
    Job(JobName),
    Path(PathBuf),
}

impl FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(job) => Ok(Self::Job(job)),
            Err(_) if text.contains('/') || text == "." || text == ".." || text.ends_with(".py") => {
                Ok(Self::Path(text.into()))
            }
            Err(error) => Err(format!("{error}; the repository of a `danube run` by a path like . or ./web")),
        }
    }
}

/// A job that has ended, and the files that it ran.
struct Ended {
    /// `web#42`.
    label: String,
    status: Status,
    reason: Option<String>,
    context: Context,
    calls: Vec<RecordedCall>,
    /// The checkout.
    source: PathBuf,
    /// The danubefile, from the top of the checkout.
    script: String,
}

impl Ended {
    /// How it ended, for people.
    fn end(&self) -> String {
        let reason = self.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        plain(&format!("{} ended as {}{reason}", self.label, self.status))
    }
}

pub(super) fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    use std::io::IsTerminal as _;
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let debugger = args.debugger.unwrap_or(if terminal { Debugger::Pdb } else { Debugger::None });
    if debugger == Debugger::None && args.line.is_some() {
        eprintln!("danube: --break needs the debugger: give --debugger pdb, or run it on a terminal");
        return Ok(ExitCode::from(super::USAGE));
    }
    // One command: one thread does.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let place = python::Place::make()?;
    let ended = match &args.job {
        What::Path(path) => runtime.block_on(kept::read(path, args.data_dir.as_deref()))?,
        What::Job(job) => {
            let read = args.connection.open().map(|client| runtime.block_on(served::read(&client, job, args, &place)));
            match read.and_then(|read| read) {
                Ok(ended) => ended,
                Err(error) => {
                    error.tell();
                    return Ok(error.exit_code());
                }
            }
        }
    };
    let ended = match &args.source {
        Some(dir) => Ended { source: std::path::absolute(dir)?, ..ended },
        None => ended,
    };
    let python = Python { program: &args.python, debug: debugger == Debugger::Pdb, line: args.line, place: &place };
    let code = runtime.block_on(python.replay(ended));
    runtime.shutdown_background();
    code
}
