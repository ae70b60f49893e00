//! `danube config status`: what the server knows of the config repo.
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::client::{ClientError, ConfigState, Connection, Issue, Request, command};
use super::say::{say, say_json};
use super::style::{Colour, Look, ago, plain};
use super::trigger::unsaid;
use crate::platform::{Clock as _, SystemClock};

/// Ask the server which commit of the config repo is in force, and what is wrong with newer ones
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    command(&args.connection, |client| async move {
        let answer: Value = client.fetch(Request::get("/api/v1/config/status")).await?;
        let state: ConfigState = serde_json::from_value(answer.clone())
            .map_err(|error| ClientError::Strange { place: client.place(), why: error.to_string() })?;
        if args.json {
            say_json(&answer).map_err(unsaid)?;
        } else {
            say(&render(&state, SystemClock.now(), Look::of(&std::io::stdout()))).map_err(ClientError::output)?;
        }
        Ok(if state.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

fn render(state: &ConfigState, now: Timestamp, look: Look) -> String {
    let mut text = String::new();
    text.push_str(&match &state.in_force {
        Some(known) => {
            let since = known.applied_at.map_or_else(String::new, |at| format!(", applied {}", ago(at, now)));
            format!("{} commit {} is in force{since}\n", look.paint(Colour::Good, "✓"), plain(&known.commit))
        }
        None => "◌ no configuration is in force yet: `danube init` writes a config repo to start from\n".to_owned(),
    });
    if let Some(error) = &state.error {
        text.push_str(&format!(
            "{} the config repo cannot be looked at: {}\n",
            look.paint(Colour::Bad, "✗"),
            plain(error)
        ));
    }
    if !state.errors.is_empty() {
        let seen = state.last_seen.as_ref().map_or("the newest commit", |seen| &seen.commit);
        let line = format!("{} {} is not applied:\n", look.paint(Colour::Bad, "✗"), plain(seen));
        text.push_str(&line);
        text.push_str(&issues(&state.errors, look));
    }
    text
}

/// Mistakes with their places and fixes.
pub(super) fn issues(issues: &[Issue], look: Look) -> String {
    let mut text = String::new();
    for issue in issues {
        let place = match (&issue.file, issue.line, issue.column) {
            (Some(file), Some(line), Some(column)) => format!("{}:{line}:{column}: ", plain(file)),
            (Some(file), ..) => format!("{}: ", plain(file)),
            (None, ..) => String::new(),
        };
        text.push_str(&format!("  {}{}\n", look.paint(Colour::Bold, &place), plain(&issue.message)));
        if let Some(fix) = &issue.fix {
            text.push_str(&format!("    fix: {}\n", plain(fix)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_state_names_the_commit_in_force_and_every_mistake() {
        let state: ConfigState = serde_json::from_value(json!({
            "ok": false,
            "in_force": { "commit": "aaaa", "applied_at": "2027-01-15T08:00:00Z" },
            "last_seen": { "commit": "bbbb", "seen_at": "2027-01-15T09:00:00Z" },
            "errors": [{ "file": "teams.yaml", "line": 1, "column": 2, "message": "bad\u{1b}[2J", "fix": "good" }, { "message": "x" }],
        }))
        .unwrap();
        let now = "2027-01-15T10:00:00Z".parse().unwrap();
        let expected = "✓ commit aaaa is in force, applied 2 h ago\n✗ bbbb is not applied:\n  \
                        teams.yaml:1:2: bad\u{fffd}[2J\n    fix: good\n  x\n";
        assert_eq!(render(&state, now, Look::bare()), expected);
    }
}
