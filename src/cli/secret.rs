//! `danube secret`: sets, lists, deletes secrets. Values go in and never come out.
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, ClientError, Connection, Request, command, segment};
use super::input::{self, Ask};
use super::say::{say, say_json};
use super::style::{Cell, Look, ago, plain, table};
use super::trigger::unsaid;
use crate::platform::{Clock as _, SystemClock};
use crate::secrets::{MAX_VALUE, check_value};

/// Set, list and delete secrets
#[derive(Debug, Args)]
pub(super) struct SecretArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set a secret to what standard input says
    ///
    /// The line end after a value of one line is left out; a value of several lines, such as a key, is
    /// taken as it is. On a terminal the value is asked for and not shown.
    Set {
        /// Its name
        key: String,
        #[command(flatten)]
        scope: Scope,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the names of secrets; values are never shown
    List {
        #[command(flatten)]
        scope: Scope,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a secret
    Delete {
        /// Its name
        key: String,
        #[command(flatten)]
        scope: Scope,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Whose secret it is.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Scope {
    /// Everybody's (the default)
    #[arg(long)]
    global: bool,
    /// A team's
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// A pipeline's
    #[arg(long, value_name = "PIPELINE")]
    pipeline: Option<String>,
}

impl Scope {
    fn path(&self) -> String {
        match (&self.team, &self.pipeline) {
            (Some(team), _) => format!("/api/v1/secrets/team/{}", segment(team)),
            (None, Some(pipeline)) => format!("/api/v1/secrets/pipeline/{}", segment(pipeline)),
            (None, None) => "/api/v1/secrets/global".to_owned(),
        }
    }

    fn label(&self) -> String {
        match (&self.team, &self.pipeline) {
            (Some(team), _) => format!("team {team}"),
            (None, Some(pipeline)) => format!("pipeline {pipeline}"),
            (None, None) => "global".to_owned(),
        }
    }
}

#[derive(Deserialize)]
struct List {
    secrets: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    key: String,
    version: u32,
    updated_at: Timestamp,
    updated_by: String,
}

pub(super) fn run(args: &SecretArgs) -> anyhow::Result<ExitCode> {
    command(&args.connection, |client| async move {
        match &args.command {
            Command::Set { key, scope, json } => set(&client, key, scope, *json).await?,
            Command::List { scope, json } => list(&client, scope, *json).await?,
            Command::Delete { key, scope, json } => {
                let request = Request::delete(format!("{}/{}", scope.path(), segment(key)));
                client.tell(request.about(format!("the secret {key} ({})", scope.label()))).await?;
                told("deleted", key, scope, *json)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn set(client: &Client, key: &str, scope: &Scope, json: bool) -> Result<(), ClientError> {
    let prompt = format!("the value of {} (it is not shown): ", plain(key));
    let value = input::read(&Ask { prompt: &prompt, most: MAX_VALUE, twice: false })?;
    check_value(key, value.expose()).map_err(|error| ClientError::Usage(error.to_string()))?;
    let request = Request::put(format!("{}/{}", scope.path(), segment(key))).bytes(value.expose().clone());
    let request = request.header("content-type", "application/octet-stream").about(scope.label());
    client.tell(request).await?;
    told("set", key, scope, json)
}

fn told(done: &str, key: &str, scope: &Scope, json: bool) -> Result<(), ClientError> {
    if json {
        return say_json(&json!({ done: key, "scope": scope.label() })).map_err(unsaid);
    }
    say(&format!("{}\n", plain(&format!("{done} {key} ({})", scope.label())))).map_err(ClientError::output)
}

async fn list(client: &Client, scope: &Scope, json: bool) -> Result<(), ClientError> {
    let answer: Value = client.fetch(Request::get(scope.path()).about(scope.label())).await?;
    if json {
        return say_json(&answer).map_err(unsaid);
    }
    let list: List = serde_json::from_value(answer)
        .map_err(|error| ClientError::Strange { place: client.place(), why: error.to_string() })?;
    if list.secrets.is_empty() {
        return say(&format!("no secrets ({})\n", plain(&scope.label()))).map_err(ClientError::output);
    }
    let now = SystemClock.now();
    let row = |row: &Row| -> [Cell; 4] {
        let (version, when) = (row.version.to_string(), ago(row.updated_at, now));
        [row.key.as_str().into(), version.into(), when.into(), row.updated_by.as_str().into()]
    };
    let rows: Vec<_> = list.secrets.iter().map(row).collect();
    say(&table(["KEY", "VERSION", "SET", "BY"], &rows, Look::of(&std::io::stdout()))).map_err(ClientError::output)
}
