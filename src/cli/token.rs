//! `danube token`: makes, lists, revokes API tokens.
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, ClientError, Connection, Request, command};
use super::say::{say, say_json};
use super::style::{Cell, Colour, Look, ago, exact, plain, table};
use super::trigger::unsaid;
use crate::model::TokenId;
use crate::platform::{Clock as _, SystemClock};

/// Make, list and revoke API tokens
#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token; it is printed once and kept nowhere
    Create {
        /// A name to know it by
        name: String,
        /// How long it works, up to 366d
        #[arg(long, default_value = "90d", value_name = "DAYS", value_parser = days)]
        expires: u32,
        /// It may look at things and change nothing
        #[arg(long)]
        read_only: bool,
        /// It is for this pipeline alone
        #[arg(long)]
        pipeline: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List your tokens; the tokens themselves are not kept
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token at once
    Revoke {
        /// Its id, as the list shows it
        id: TokenId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Deserialize)]
struct Made {
    token: String,
    expires_at: Timestamp,
}

#[derive(Deserialize)]
struct List {
    tokens: Vec<Token>,
}

#[derive(Deserialize)]
struct Token {
    id: TokenId,
    name: String,
    scopes: Vec<String>,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    works: bool,
}

/// `30d`, or `4w`.
fn days(text: &str) -> Result<u32, String> {
    let (number, factor) = match (text.strip_suffix('d'), text.strip_suffix('w')) {
        (Some(number), _) => (number, 1),
        (None, Some(number)) => (number, 7),
        (None, None) => return Err("write days like 30d, or weeks like 4w".to_owned()),
    };
    let days = number.parse::<u32>().ok().and_then(|number| number.checked_mul(factor));
    days.filter(|days| (1..=366).contains(days)).ok_or_else(|| "a token works for 1d to 366d".to_owned())
}

pub(super) fn run(args: &TokenArgs) -> anyhow::Result<ExitCode> {
    command(&args.connection, |client| async move {
        match &args.command {
            Command::Create { name, expires, read_only, pipeline, json } => {
                let body = json!({ "name": name, "days": expires, "read_only": read_only, "pipeline": pipeline });
                create(&client, &body, *json).await?;
            }
            Command::List { json } => list(&client, *json).await?,
            Command::Revoke { id, json } => {
                client
                    .tell(
                        Request::delete(format!("/api/v1/tokens/{id}"))
                            .about(format!("a token of yours with the id {id}")),
                    )
                    .await?;
                if *json {
                    say_json(&json!({ "revoked": id })).map_err(unsaid)?;
                } else {
                    say(&format!("revoked {id}\n")).map_err(ClientError::output)?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn create(client: &Client, body: &Value, json: bool) -> Result<(), ClientError> {
    let answer: Value = client.fetch(Request::post("/api/v1/tokens").json(body)).await?;
    if json {
        return say_json(&answer).map_err(unsaid);
    }
    let made: Made = serde_json::from_value(answer)
        .map_err(|error| ClientError::Strange { place: client.place(), why: error.to_string() })?;
    // The token alone on standard output, for scripts.
    eprintln!("it works until {} and is shown this once:", exact(made.expires_at));
    say(&format!("{}\n", plain(&made.token))).map_err(ClientError::output)
}

async fn list(client: &Client, json: bool) -> Result<(), ClientError> {
    let answer: Value = client.fetch(Request::get("/api/v1/tokens")).await?;
    if json {
        return say_json(&answer).map_err(unsaid);
    }
    let list: List = serde_json::from_value(answer)
        .map_err(|error| ClientError::Strange { place: client.place(), why: error.to_string() })?;
    say(&render(&list.tokens, SystemClock.now(), Look::of(&std::io::stdout()))).map_err(ClientError::output)
}

fn render(tokens: &[Token], now: Timestamp, look: Look) -> String {
    if tokens.is_empty() {
        return "no tokens; `danube token create NAME` makes one\n".to_owned();
    }
    let row = |token: &Token| -> [Cell; 6] {
        let state = match (token.works, token.revoked_at) {
            (true, _) => Cell::new("✓ works").colour(Colour::Good),
            (false, Some(_)) => Cell::new("⊘ revoked").colour(Colour::Dim),
            (false, None) => Cell::new("⊘ expired").colour(Colour::Dim),
        };
        let scope = if token.scopes.is_empty() { "all you may".to_owned() } else { token.scopes.join(" ") };
        let when = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| ago(at, now));
        let (until, used) = (when(token.expires_at), when(token.last_used_at));
        [
            token.name.as_str().into(),
            state,
            scope.into(),
            until.into(),
            used.into(),
            Cell::new(&token.id.to_string()).whole(),
        ]
    };
    let rows: Vec<_> = tokens.iter().map(row).collect();
    table(["NAME", "STATE", "MAY", "EXPIRES", "USED", "ID"], &rows, look)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_days_or_weeks() {
        assert_eq!([days("30d"), days("4w"), days("366d")], [Ok(30), Ok(28), Ok(366)]);
        for wrong in ["", "30", "0d", "367d", "1y", "99999999w", "-1d"] {
            assert!(days(wrong).is_err(), "{wrong}");
        }
    }
}
