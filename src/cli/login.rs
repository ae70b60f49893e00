//! `danube login`: remembers a server and a token, once it has seen that they work.
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::client::{Client, ClientError, Connection, Login, read};
use super::input::{self, Ask};
use super::say::say;
use super::style::plain;
use super::whoami::{Me, me};
use crate::model::Secret;

/// Bytes of a token.
const LONGEST: usize = 1024;

/// Use a server on the network from now on
///
/// Reads the token from standard input; on a terminal it asks for it and does not show it. The console's page
/// "Tokens", or `danube token create` on the server's machine, makes one. Address and token are checked, then
/// kept in ~/.config/danube/login.json, which nobody else may read.
#[derive(Debug, Args)]
pub(super) struct LoginArgs {
    /// The server's address, like https://danube.example.com
    url: String,
}

pub(super) fn run(args: &LoginArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(login(args));
    runtime.shutdown_background();
    Ok(done.map_or_else(
        |error| {
            error.tell();
            error.exit_code()
        },
        |()| ExitCode::SUCCESS,
    ))
}

async fn login(args: &LoginArgs) -> Result<(), ClientError> {
    let path = Login::path(&super::config::environment())
        .ok_or_else(|| ClientError::Usage("there is no home to keep a login in: set HOME".to_owned()))?;
    // The address first: who mistyped it need not type the token.
    Connection::network(&args.url, None)?;
    let ask = Ask { prompt: "the token (it is not shown): ", most: LONGEST, twice: false };
    let bytes = input::read(&ask)?;
    let text = std::str::from_utf8(bytes.expose()).map(str::trim).unwrap_or_default();
    if text.is_empty() {
        return Err(ClientError::Usage("a token is one line of text".to_owned()));
    }
    let login = Login { server: args.url.clone(), token: Secret::new(text.to_owned()) };
    let client: Client = Connection::network(&args.url, Some(login.token.clone()))?;
    let answer: Value = client.fetch(me()).await?;
    let me: Me = read(&client, answer)?;
    login.store(&path)?;
    let place = plain(&client.place());
    say(&format!("logged in at {place} as {}\nkept in {}\n", me.line(), path.display())).map_err(ClientError::output)
}
