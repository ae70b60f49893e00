//! `danube sync`: brings the newest commit of the config repo into force, or says why not.
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::client::{Client, ClientError, ConfigState, Connection, Request, command};
use super::config_status::issues;
use super::say::{say, say_json};
use super::style::{Look, plain};
use super::trigger::unsaid;

const STATUS: &str = "/api/v1/config/status";
/// Between two looks at the state.
const LOOK: Duration = Duration::from_millis(200);
/// A fetch from a slow forge takes no longer.
const LONGEST: Duration = Duration::from_secs(120);
/// Servers that do not say when they looked are believed after this time.
const QUIET: Duration = Duration::from_secs(5);

/// Apply the newest commit of the config repo now
#[derive(Debug, Args)]
pub(super) struct SyncArgs {
    /// Print the state after it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: &SyncArgs) -> anyhow::Result<ExitCode> {
    command(&args.connection, |client| async move { sync(&client, args.json).await })
}

async fn sync(client: &Client, json: bool) -> Result<ExitCode, ClientError> {
    let before: ConfigState = client.fetch(Request::get(STATUS)).await?;
    let _asked: Value = client.fetch(Request::post("/api/v1/config/sync")).await?;
    let after = wait(client, &before).await?;
    let code = if after.ok && after.error.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if json {
        let answer: Value = client.fetch(Request::get(STATUS)).await?;
        say_json(&answer).map_err(unsaid)?;
    } else {
        say(&render(&before, &after, Look::of(&std::io::stdout()))).map_err(ClientError::output)?;
    }
    Ok(code)
}

/// The state after the look that was asked for.
async fn wait(client: &Client, before: &ConfigState) -> Result<ConfigState, ClientError> {
    let begun = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let now: ConfigState = client.fetch(Request::get(STATUS)).await?;
        if looked(before, &now) {
            return Ok(now);
        }
        let waited = begun.elapsed();
        if now.last_attempt.is_none() && before.last_attempt.is_none() && waited >= QUIET {
            return Ok(now);
        }
        if waited >= LONGEST {
            let text =
                format!("the server has not looked at the config repo within {} s; see its log", LONGEST.as_secs());
            return Err(ClientError::Failed(text));
        }
    }
}

fn looked(before: &ConfigState, now: &ConfigState) -> bool {
    now.last_attempt > before.last_attempt
        || (now.last_attempt.is_none()
            && (now.in_force != before.in_force || now.last_seen != before.last_seen || now.errors != before.errors))
}

fn render(before: &ConfigState, after: &ConfigState, look: Look) -> String {
    let short = |commit: &str| plain(commit.get(..12).unwrap_or(commit));
    let mut text = String::new();
    if let Some(error) = &after.error {
        text.push_str(&format!("✗ the config repo cannot be looked at: {}\n", plain(error)));
    }
    let in_force = after.in_force.as_ref().map(|known| &known.commit);
    if !after.errors.is_empty() {
        let seen = after.last_seen.as_ref().map_or_else(String::new, |seen| format!("commit {} ", short(&seen.commit)));
        text.push_str(&format!("✗ {seen}is not applied:\n{}", issues(&after.errors, look)));
    }
    let same = in_force == before.in_force.as_ref().map(|known| &known.commit);
    text.push_str(&match in_force {
        None => "◌ no configuration is in force yet\n".to_owned(),
        Some(commit) if after.ok && !same => format!("✓ commit {} is in force now\n", short(commit)),
        Some(commit) if after.ok && after.error.is_none() => {
            format!("✓ nothing new: commit {} is in force\n", short(commit))
        }
        Some(commit) => format!("  commit {} stays in force\n", short(commit)),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(value: Value) -> ConfigState {
        serde_json::from_value(value).unwrap()
    }

    fn good(commit: &str) -> ConfigState {
        state(
            json!({ "ok": true, "in_force": { "commit": commit, "applied_at": null }, "last_seen": { "commit": commit } }),
        )
    }

    #[test]
    fn a_new_commit_an_old_one_and_a_bad_one_are_told_apart() {
        let (old, new) = (good(&"a".repeat(40)), good(&"b".repeat(40)));
        assert_eq!(render(&old, &new, Look::bare()), "✓ commit bbbbbbbbbbbb is in force now\n");
        assert_eq!(render(&old, &old, Look::bare()), "✓ nothing new: commit aaaaaaaaaaaa is in force\n");
        let issue = json!({ "file": "users.yaml", "line": 3, "column": 5, "message": "unknown key 'emial'", "fix": "did you mean 'email'?" });
        let bad = state(json!({
            "ok": false, "in_force": { "commit": "a".repeat(40), "applied_at": null },
            "last_seen": { "commit": "c".repeat(40) }, "errors": [issue],
        }));
        assert_eq!(
            render(&old, &bad, Look::bare()),
            "✗ commit cccccccccccc is not applied:\n  users.yaml:3:5: unknown key 'emial'\n    fix: did you mean 'email'?\n  \
             commit aaaaaaaaaaaa stays in force\n"
        );
        assert!(looked(&old, &bad) && looked(&old, &new) && !looked(&old, &old));
    }

    #[test]
    fn a_server_that_tells_when_it_looked_is_waited_for() {
        let at = |second: i64| Some(jiff::Timestamp::from_second(second).unwrap());
        let before = ConfigState { last_attempt: at(1), ..good("a") };
        assert!(!looked(&before, &before));
        assert!(!looked(&before, &ConfigState { last_attempt: at(1), ..good("b") }));
        assert!(looked(&before, &ConfigState { last_attempt: at(2), ..good("a") }));
    }
}
