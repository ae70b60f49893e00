//! `danube job rerun`.
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::client::{Client, ClientError, JobName, Started};
use crate::cli::say::{say, say_json};
use crate::cli::style::plain;
use crate::cli::trigger::{unsaid, wait, waited};

/// Run an ended job again: the same commit and params, the pipeline as it is configured now
#[derive(Debug, Args)]
pub(super) struct RerunArgs {
    /// The job: web#42, or its id
    job: JobName,
    /// Go on where it stopped: in the workspace that it left, without the steps that had ended well; a record is signed, no
    /// provenance
    #[arg(long)]
    failed: bool,
    /// Follow to the end; the job's result is the command's: 0 success, 1 anything else
    #[arg(long)]
    wait: bool,
    /// Print JSON: the new job as it began, or with --wait as it ended
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, args: &RerunArgs) -> Result<ExitCode, ClientError> {
    let mut request = args.job.post("/rerun");
    if args.failed {
        request = request.json(&json!({ "from": "failed" }));
    }
    let answer: Value = client.fetch(request).await?;
    let started: Started = serde_json::from_value(answer.clone())
        .map_err(|error| ClientError::Strange { place: client.place(), why: error.to_string() })?;
    if args.json && !args.wait {
        say_json(&answer).map_err(unsaid)?;
    } else if !args.json {
        let commit = started.commit.get(..8).unwrap_or(&started.commit);
        let again = if args.failed { "again from where it stopped" } else { "again" };
        let line = format!("started {}#{}, {} {again}, at {commit}", started.pipeline, started.number, args.job);
        say(&(plain(&line) + "\n")).map_err(ClientError::output)?;
    }
    if !args.wait {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(waited(wait(client, &JobName::from(started.id), args.json).await?))
}
