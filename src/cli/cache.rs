//! `danube cache`: what is stored for the steps of a pipeline.
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::client::{Client, ClientError, Connection, Request, command, segment};
use super::say::{say, say_json};
use super::style::{Cell, Look, ago, plain, size as bytes, table};
use super::trigger::unsaid;
use crate::model::cache::Scope;
use crate::platform::{Clock as _, SystemClock};

/// List and delete the caches of a pipeline
#[derive(Debug, Args)]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what is stored
    List {
        /// The pipeline
        pipeline: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete what is stored: the next job begins without it
    Delete {
        /// The pipeline
        pipeline: String,
        /// Only the cache of this name
        #[arg(long)]
        name: Option<String>,
        /// Only what was stored under this key
        #[arg(long, requires = "name")]
        key: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Deserialize)]
struct List {
    caches: Vec<Row>,
    bytes: u64,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    key: Option<String>,
    scope: String,
    bytes: u64,
    job_label: String,
    stored_at: Timestamp,
    last_used_at: Timestamp,
}

pub(super) fn run(args: &CacheArgs) -> anyhow::Result<ExitCode> {
    command(&args.connection, |client| async move {
        match &args.command {
            Command::List { pipeline, json } => list(&client, pipeline, *json).await?,
            Command::Delete { pipeline, name, key, json } => {
                let mut path = path(pipeline);
                if let Some(name) = name {
                    path = format!("{path}?cache={}", segment(name));
                }
                if let Some(key) = key {
                    path = format!("{path}&key={}", segment(key));
                }
                let answer: Value = client.fetch(Request::delete(path).about(about(pipeline))).await?;
                if *json {
                    say_json(&answer).map_err(unsaid)?;
                } else {
                    let deleted = answer.get("deleted").and_then(Value::as_u64).unwrap_or(0);
                    say(&format!("{deleted} deleted\n")).map_err(ClientError::output)?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn path(pipeline: &str) -> String {
    format!("/api/v1/pipelines/{}/caches", segment(pipeline))
}

fn about(pipeline: &str) -> String {
    format!("the pipeline {pipeline}")
}

async fn list(client: &Client, pipeline: &str, json: bool) -> Result<(), ClientError> {
    let answer: Value = client.fetch(Request::get(path(pipeline)).about(about(pipeline))).await?;
    if json {
        return say_json(&answer).map_err(unsaid);
    }
    let list: List = serde_json::from_value(answer)
        .map_err(|error| ClientError::Strange { place: client.place(), why: error.to_string() })?;
    say(&render(pipeline, &list, SystemClock.now(), Look::of(&std::io::stdout()))).map_err(ClientError::output)
}

fn render(pipeline: &str, list: &List, now: Timestamp, look: Look) -> String {
    if list.caches.is_empty() {
        return format!("{} has no caches\n", plain(pipeline));
    }
    let row = |row: &Row| -> [Cell; 7] {
        let scope = Scope::parse(&row.scope).map_or_else(|| row.scope.clone(), |scope| scope.to_string());
        [
            row.name.as_str().into(),
            row.key.as_deref().unwrap_or("-").into(),
            scope.into(),
            bytes(row.bytes).into(),
            row.job_label.as_str().into(),
            ago(row.stored_at, now).into(),
            ago(row.last_used_at, now).into(),
        ]
    };
    let rows: Vec<_> = list.caches.iter().map(row).collect();
    let head = ["NAME", "KEY", "OF", "SIZE", "STORED BY", "STORED", "USED"];
    format!("{}{} in all\n", table(head, &rows, look), bytes(list.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_told_with_whose_they_are() {
        let at: Timestamp = "2027-01-15T08:00:00Z".parse().unwrap();
        let row = |key: Option<&str>, scope: &str| Row {
            name: "car\u{1b}go".to_owned(),
            key: key.map(str::to_owned),
            scope: scope.to_owned(),
            bytes: 3 << 20,
            job_label: "web#4".to_owned(),
            stored_at: at,
            last_used_at: at,
        };
        let list = List { caches: vec![row(None, "protected"), row(Some("k"), "pull_request:7")], bytes: 6 << 20 };
        let text = render("web", &list, at, Look::bare());
        assert!(text.contains("protected branches") && text.contains("pull request 7"), "{text}");
        assert!(text.contains("car\u{fffd}go") && text.ends_with(" in all\n"), "{text}");
        assert_eq!(render("web", &List { caches: vec![], bytes: 0 }, at, Look::bare()), "web has no caches\n");
    }
}
