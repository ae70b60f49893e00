//! `danube job`: lists, shows, cancels, reruns jobs and fetches what they keep.
mod artifacts;
mod bars;
mod cancel;
mod list;
mod rerun;
mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::client::{Connection, command};

/// Look at jobs, stop them, run them again
#[derive(Debug, Args)]
pub(super) struct JobArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::ListArgs),
    Show(show::ShowArgs),
    Cancel(cancel::CancelArgs),
    Rerun(rerun::RerunArgs),
    Artifacts(artifacts::ArtifactsArgs),
}

pub(super) fn run(args: &JobArgs) -> anyhow::Result<ExitCode> {
    command(&args.connection, |client| async move {
        match &args.command {
            Command::List(args) => list::run(&client, args).await,
            Command::Show(args) => show::run(&client, args).await,
            Command::Cancel(args) => cancel::run(&client, args).await,
            Command::Rerun(args) => rerun::run(&client, args).await,
            Command::Artifacts(args) => artifacts::run(&client, args).await,
        }
    })
}
