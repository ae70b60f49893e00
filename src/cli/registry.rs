//! `danube registry`: the registry beside the server.
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;

use super::client::{Client, ClientError, Connection, Request, command, read};
use super::say::{say, say_json};
use super::style::{plain, size};
use super::trigger::unsaid;

/// See the registry beside the server, collect its garbage
#[derive(Debug, Args)]
pub(super) struct RegistryArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say whether it runs
    Status(Options),
    /// Remove images that were not used for retention.registry_images_days, and blobs that no image names, now
    Gc(Options),
}

#[derive(Debug, Args)]
struct Options {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Deserialize)]
struct State {
    state: String,
    name: String,
}

#[derive(Deserialize)]
struct Collected {
    images: u64,
    bytes: u64,
    left: u64,
}

pub(super) fn run(args: &RegistryArgs) -> anyhow::Result<ExitCode> {
    let (Verb::Status(options) | Verb::Gc(options)) = &args.verb;
    let collect = matches!(args.verb, Verb::Gc(_));
    command(&options.connection, |client| async move { ask(&client, collect, options.json).await })
}

async fn ask(client: &Client, collect: bool, json: bool) -> Result<ExitCode, ClientError> {
    let request = if collect { Request::post("/api/v1/registry/collect") } else { Request::get("/api/v1/registry") };
    let answer: Value = client.fetch(request).await?;
    if json {
        say_json(&answer).map_err(unsaid)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = if collect {
        let Collected { images, bytes, left } = read(client, answer)?;
        let plural = if images == 1 { "" } else { "s" };
        format!("{images} image{plural} removed, {} freed, {} left\n", size(bytes), size(left))
    } else {
        let State { state, name } = read(client, answer)?;
        format!("{}: {}\n", plain(&name), plain(&state))
    };
    say(&text).map_err(ClientError::output)?;
    Ok(ExitCode::SUCCESS)
}
