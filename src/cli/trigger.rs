//! `danube trigger`: starts a pipeline.
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::client::{Client, ClientError, Connection, JobName, Request, Started, command, follow, meant, segment};
use super::say::{say, say_json};
use super::style::{Screen, plain};
use crate::model::job::Status;

/// A process that Ctrl-C ended (128 and SIGINT).
const DETACHED: u8 = 130;

/// Start a pipeline
///
/// With --wait, Ctrl-C ends the watching and the job goes on.
#[derive(Debug, Args)]
pub(super) struct TriggerArgs {
    /// The pipeline's name
    pipeline: String,
    /// The branch whose newest commit is built [default: the repository's default branch]
    #[arg(long, conflicts_with = "commit")]
    branch: Option<String>,
    /// The commit to build
    #[arg(long, value_name = "SHA")]
    commit: Option<String>,
    /// A value for one of the pipeline's params; may be given again for another
    #[arg(short = 'p', long = "param", value_name = "NAME=VALUE", value_parser = param)]
    params: Vec<(String, String)>,
    /// Start so many jobs
    #[arg(short = 'n', default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// Follow to the end; the job's result is the command's: 0 success, 1 anything else
    #[arg(long)]
    wait: bool,
    /// Print JSON, an object for each job: as it began, or with --wait as it ended
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

fn param(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// A name that is given more than once: which value counts would be a guess.
fn twice(params: &[(String, String)]) -> Option<&str> {
    let mut seen = std::collections::BTreeSet::new();
    params.iter().map(|(name, _)| name.as_str()).find(|name| !seen.insert(*name))
}

pub(super) fn run(args: &TriggerArgs) -> anyhow::Result<ExitCode> {
    command(&args.connection, |client| async move { trigger(&client, args).await })
}

async fn trigger(client: &Client, args: &TriggerArgs) -> Result<ExitCode, ClientError> {
    if let Some(name) = twice(&args.params) {
        return Err(ClientError::Usage(format!("the param '{name}' is given twice; give it once")));
    }
    let mut jobs = Vec::new();
    for _ in 0..args.count {
        let answer: Value = match client.fetch(request(args)).await {
            Ok(answer) => answer,
            Err(error) => return Err(meant(client, &args.pipeline, error).await),
        };
        let started: Started = serde_json::from_value(answer.clone())
            .map_err(|error| ClientError::Strange { place: client.place(), why: error.to_string() })?;
        if args.json && !args.wait {
            say_json(&answer).map_err(unsaid)?;
        } else if !args.json && (!args.wait || args.count > 1) {
            say(&told(&started)).map_err(ClientError::output)?;
        }
        jobs.push(JobName::from(started.id));
    }
    if !args.wait {
        return Ok(ExitCode::SUCCESS);
    }
    let mut well = true;
    for job in &jobs {
        match wait(client, job, args.json).await? {
            Some(status) => well &= status == Status::Success,
            None => return Ok(ExitCode::from(DETACHED)),
        }
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The code of the process for a job that was waited for.
pub(super) fn waited(end: Option<Status>) -> ExitCode {
    match end {
        Some(Status::Success) => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
        None => ExitCode::from(DETACHED),
    }
}

/// Follows a job to its end; with `json` in silence, and what became of it is printed. None: Ctrl-C ended the
/// watching, and the job goes on.
pub(super) async fn wait(client: &Client, job: &JobName, json: bool) -> Result<Option<Status>, ClientError> {
    let mut screen = if json {
        Screen::bare(std::io::sink(), std::sync::Arc::new(crate::platform::SystemClock))
    } else {
        Screen::stdout()
    };
    let ended = tokio::select! {
        biased;
        Ok(()) = tokio::signal::ctrl_c() => None,
        status = follow(client, job, &mut screen) => Some(status?),
    };
    let Some(status) = ended else {
        screen.clear().map_err(ClientError::output)?;
        eprintln!("the job goes on; see it: danube job show {job}; stop it: danube job cancel {job}");
        return Ok(None);
    };
    if json {
        let ended: Value = client.fetch(job.get("")).await?;
        say_json(&ended).map_err(unsaid)?;
    }
    Ok(Some(status))
}

fn request(args: &TriggerArgs) -> Request {
    let params: serde_json::Map<_, _> = args.params.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let mut body = json!({ "params": params });
    if let Some(branch) = &args.branch {
        body["branch"] = json!(branch);
    }
    if let Some(commit) = &args.commit {
        body["commit"] = json!(commit);
    }
    Request::post(format!("/api/v1/pipelines/{}/trigger", segment(&args.pipeline)))
        .about(format!("the pipeline {}", args.pipeline))
        .json(&body)
}

fn told(started: &Started) -> String {
    let commit = started.commit.get(..8).unwrap_or(&started.commit);
    plain(&format!("started {}#{} on {} at {commit}", started.pipeline, started.number, started.branch)) + "\n"
}

/// `say_json` fails where standard output does.
pub(super) fn unsaid(error: anyhow::Error) -> ClientError {
    match error.downcast::<std::io::Error>() {
        Ok(error) => ClientError::output(error),
        Err(error) => ClientError::Failed(format!("{error:#}")),
    }
}
