//! `danube admin`: what only somebody on the machine may do.
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;

use super::client::{Client, ClientError, Connection, Request, command};
use super::say::{say, say_json};
use super::style::plain;
use super::trigger::unsaid;

/// Get into the console as the machine's own administrator
#[derive(Debug, Args)]
pub(super) struct AdminArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a link that logs one browser in, once, within ten minutes
    Link {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Deserialize)]
struct Link {
    path: String,
    url: Option<String>,
}

pub(super) fn run(args: &AdminArgs) -> anyhow::Result<ExitCode> {
    command(&args.connection, |client| async move {
        let Command::Link { json } = &args.command;
        link(&client, *json).await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn link(client: &Client, json: bool) -> Result<(), ClientError> {
    let answer: Value = client.fetch(Request::post("/api/v1/login-links")).await?;
    if json {
        return say_json(&answer).map_err(unsaid);
    }
    let link: Link = serde_json::from_value(answer)
        .map_err(|error| ClientError::Strange { place: client.place(), why: error.to_string() })?;
    if link.url.is_none() {
        eprintln!("the server does not know its own address (server.public_url): put the console's in front of this");
    }
    say(&format!("{}\n", plain(link.url.as_ref().unwrap_or(&link.path)))).map_err(ClientError::output)
}
