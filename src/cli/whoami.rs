//! `danube whoami`: who the server takes you for.
use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::client::{ClientError, Connection, Request, command, read};
use super::say::{say, say_json};
use super::style::{Cell, Colour, Look, plain, table};
use super::trigger::unsaid;

/// Tell who the server takes you for, and what you may do
#[derive(Debug, Args)]
pub(super) struct WhoamiArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Who asks, as the API says it.
#[derive(Deserialize)]
pub(super) struct Me {
    name: String,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    global_admin: bool,
    #[serde(default)]
    token: Option<TokenScope>,
    #[serde(default)]
    teams: Vec<Team>,
    #[serde(default)]
    pipelines: Vec<Pipeline>,
}

#[derive(Deserialize)]
struct TokenScope {
    read_only: bool,
    pipeline: Option<String>,
}

#[derive(Deserialize)]
struct Team {
    name: String,
    role: String,
}

#[derive(Deserialize)]
struct Pipeline {
    name: String,
    level: String,
}

/// The question.
pub(super) fn me() -> Request {
    Request::get("/api/v1/me").newer("who somebody is")
}

pub(super) fn run(args: &WhoamiArgs) -> anyhow::Result<ExitCode> {
    command(&args.connection, |client| async move {
        let answer: Value = client.fetch(me()).await?;
        if args.json {
            say_json(&answer).map_err(unsaid)?;
        } else {
            let me: Me = read(&client, answer)?;
            let place = client.place();
            say(&render(&me, &place, Look::of(&std::io::stdout()))).map_err(ClientError::output)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

impl Me {
    /// In one line.
    pub(super) fn line(&self) -> String {
        let mut line = plain(&self.name);
        if let Some(email) = self.email.as_ref().filter(|email| **email != self.name) {
            line.push_str(&format!(", of {}", plain(email)));
        }
        if self.global_admin {
            line.push_str(", a global admin");
        }
        if let Some(scope) = &self.token {
            line.push_str(if scope.read_only { ", may only read" } else { "" });
            if let Some(name) = &scope.pipeline {
                line.push_str(&format!(", for the pipeline {} alone", plain(name)));
            }
        }
        line
    }
}

fn render(me: &Me, place: &str, look: Look) -> String {
    let mut text = format!("{} at {}\n", look.paint(Colour::Bold, &me.line()), plain(place));
    if !me.teams.is_empty() {
        let teams: Vec<String> = me.teams.iter().map(|team| format!("{} ({})", team.name, team.role)).collect();
        text.push_str(&format!("teams: {}\n", plain(&teams.join(", "))));
    }
    if me.pipelines.is_empty() {
        text.push_str("no pipelines: nobody gave you a right to one yet\n");
        return text;
    }
    let row = |line: &Pipeline| -> [Cell; 2] { [line.name.as_str().into(), line.level.as_str().into()] };
    let rows: Vec<_> = me.pipelines.iter().map(row).collect();
    text.push('\n');
    text.push_str(&table(["PIPELINE", "YOU MAY"], &rows, look));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_says_whose_it_is_and_what_it_was_narrowed_to() {
        let me: Me = serde_json::from_value(json!({
            "name": "token ci", "kind": "token", "email": "mina@example.com", "global_admin": false,
            "token": { "read_only": true, "pipeline": "web" },
            "teams": [{ "name": "platform", "role": "admin" }],
            "pipelines": [{ "name": "web\u{1b}[2J", "level": "read" }],
        }))
        .unwrap();
        let expected = "token ci, of mina@example.com, may only read, for the pipeline web alone at here\n\
                        teams: platform (admin)\n\nPIPELINE  YOU MAY\nweb\u{fffd}[2J   read\n";
        assert_eq!(render(&me, "here", Look::bare()), expected);
    }
}
