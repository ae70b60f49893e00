//! `danube job cancel`.
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::cli::client::{Client, ClientError, JobName};
use crate::cli::say::{say, say_json};
use crate::cli::style::plain;
use crate::cli::trigger::unsaid;

/// Ask for the end of a job
///
/// Says what came of it: cancelled, stopping, or how it has ended already. Each of these is well (exit 0): the
/// job runs no more, or soon will not.
#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    /// The job: web#42, or its id
    job: JobName,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, args: &CancelArgs) -> Result<ExitCode, ClientError> {
    let answer: Value = client.fetch(args.job.post("/cancel")).await?;
    if args.json {
        say_json(&answer).map_err(unsaid)?;
    } else {
        let outcome = answer["outcome"].as_str().unwrap_or("asked for");
        say(&format!("{}: {}\n", args.job, plain(outcome))).map_err(ClientError::output)?;
    }
    Ok(ExitCode::SUCCESS)
}
