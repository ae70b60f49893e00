//! The client side of the command line: the API over the machine's socket or the network.
//!
//! Owns: connections, the reading of answers, following a job, what people are told when it fails. May
//! use: model, platform, `cli::style`. Must not touch: the store, the server's rooms.

mod answer;
mod artifact;
mod config_state;
mod connection;
mod error;
mod events;
mod follow;
mod job;
mod job_name;
mod log_end;
mod login;
mod meant;
mod network;
mod pages;
mod progress;
mod request;
mod socket;
mod sse;
mod summary;

#[cfg(test)]
pub(in crate::cli) mod tests;

use std::process::ExitCode;

pub use artifact::Artifact;
pub use config_state::{ConfigState, Issue};
pub use connection::Connection;
pub use error::ClientError;
pub use events::{Events, JobEvent, Piece};
pub use follow::follow;
pub use job::{FromFailed, Job, Page, ReusedFrom, Started, Step};
pub(in crate::cli) use job::{branches, calls};
pub use job_name::{JobName, segment};
pub use log_end::{LogEnd, log_end};
pub use login::Login;
pub use meant::meant;
pub use pages::Pages;
pub use request::{Client, Request};
pub use summary::{FailedTest, Summary, summary};

/// A part of an answer as a type of its own.
pub(super) fn read<T: serde::de::DeserializeOwned>(
    client: &Client,
    value: serde_json::Value,
) -> Result<T, ClientError> {
    serde_json::from_value(value)
        .map_err(|error| ClientError::Strange { place: client.place(), why: format!("it is not as expected: {error}") })
}

/// Runs one command of a client, says what went wrong, and gives the exit code for it.
pub(super) fn command<F>(connection: &Connection, work: impl FnOnce(Client) -> F) -> anyhow::Result<ExitCode>
where
    F: Future<Output = Result<ExitCode, ClientError>>,
{
    // One command, one connection at a time: one thread does.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = match connection.open() {
        Ok(client) => runtime.block_on(work(client)),
        Err(error) => Err(error),
    };
    runtime.shutdown_background();
    Ok(result.unwrap_or_else(|error| {
        error.tell();
        error.exit_code()
    }))
}
