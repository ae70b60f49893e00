//! `danube status`: is the server well, and what does it do.
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::client::{Client, ClientError, Connection, Request, command, read};
use super::say::{say, say_json};
use super::style::{Colour, Look, ago, plain, size};
use super::trigger::unsaid;
use crate::platform::{Clock as _, SystemClock};

/// Below this share of its disk a server will soon stop taking jobs.
const LITTLE: u64 = 10;

/// Tell whether the server is well, what waits and runs, and what configuration is in force
///
/// Exits with 1 where something is down.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Deserialize)]
struct Details {
    ready: bool,
    down: Vec<String>,
    version: String,
    started_at: Timestamp,
    queue: Queue,
    config: Config,
    #[serde(default)]
    database_bytes: u64,
    #[serde(default)]
    disks: Vec<Disk>,
    #[serde(default)]
    deliveries_waiting: u64,
}

#[derive(Deserialize)]
struct Queue {
    pending: u64,
    running: u64,
    running_limit: u64,
    oldest_pending: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Config {
    in_force: Option<String>,
    last_success: Option<Timestamp>,
    error: Option<String>,
    #[serde(default)]
    refused: Option<String>,
    #[serde(default)]
    mistakes: u64,
}

#[derive(Deserialize)]
struct Disk {
    what: String,
    free_bytes: u64,
    total_bytes: u64,
}

pub(super) fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    command(&args.connection, |client| async move {
        match client.fetch(Request::get("/api/v1/health/details").newer("how it is")).await {
            Ok(answer) => told(&client, answer, args.json),
            // Who may not see the details still learns whether it works.
            Err(ClientError::Refused { status: 403 | 404, .. } | ClientError::Strange { .. }) => {
                outline(&client, args.json).await
            }
            Err(error) => Err(error),
        }
    })
}

fn told(client: &Client, answer: Value, json: bool) -> Result<ExitCode, ClientError> {
    let details: Details = read(client, answer.clone())?;
    if json {
        say_json(&answer).map_err(unsaid)?;
    } else {
        let text = render(&details, &client.place(), SystemClock.now(), Look::of(&std::io::stdout()));
        say(&text).map_err(ClientError::output)?;
    }
    Ok(if details.ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn outline(client: &Client, json: bool) -> Result<ExitCode, ClientError> {
    let request = Request::get("/health/ready");
    let (ready, answer) = match client.fetch::<Value>(request).await {
        Ok(answer) => (true, answer),
        Err(ClientError::Refused { status: 503, .. }) => (false, serde_json::json!({ "status": "not ready" })),
        Err(error) => return Err(error),
    };
    if json {
        say_json(&answer).map_err(unsaid)?;
    } else {
        let look = Look::of(&std::io::stdout());
        let line = if ready {
            format!("{} {} is ready", look.paint(Colour::Good, "✓"), plain(&client.place()))
        } else {
            format!("{} {} is not ready", look.paint(Colour::Bad, "✗"), plain(&client.place()))
        };
        say(&format!("{line}; only global admins see more\n")).map_err(ClientError::output)?;
    }
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn render(details: &Details, place: &str, now: Timestamp, look: Look) -> String {
    let mut text = if details.ready {
        format!("{} danube {} at {} is well", look.paint(Colour::Good, "✓"), plain(&details.version), plain(place))
    } else {
        let down = plain(&details.down.join(", "));
        format!(
            "{} danube {} at {}: {down} is down",
            look.paint(Colour::Bad, "✗"),
            plain(&details.version),
            plain(place)
        )
    };
    text.push_str(&format!(", started {}\n\n", ago(details.started_at, now)));
    let mut fact = |name: &str, value: String| {
        text.push_str(&format!("  {} {}\n", look.paint(Colour::Dim, &format!("{name:<9}")), plain(&value)));
    };
    let queue = &details.queue;
    fact("running", format!("{} of {}", queue.running, queue.running_limit));
    let oldest = queue.oldest_pending.map_or_else(String::new, |at| format!(", the oldest asked for {}", ago(at, now)));
    fact("waiting", format!("{}{oldest}", queue.pending));
    if details.deliveries_waiting > 0 {
        fact("webhooks", format!("{} deliveries are still to be looked at", details.deliveries_waiting));
    }
    fact("config", config(&details.config, now));
    fact("database", size(details.database_bytes));
    // Directories of one disk have the same room.
    for same in details.disks.chunk_by(|a, b| (a.free_bytes, a.total_bytes) == (b.free_bytes, b.total_bytes)) {
        let (free, total) = (same[0].free_bytes, same[0].total_bytes);
        let word = if free < total / 100 * LITTLE { "  (almost full)" } else { "" };
        let whose: Vec<&str> = same.iter().map(|disk| disk.what.as_str()).collect();
        fact("disk", format!("{} free of {} for {}{word}", size(free), size(total), whose.join(", ")));
    }
    text
}

fn config(config: &Config, now: Timestamp) -> String {
    let seen = config.last_success.map_or_else(String::new, |at| format!(", looked at {}", ago(at, now)));
    let short = |commit: &str| commit.get(..12).unwrap_or(commit).to_owned();
    if let Some(refused) = &config.refused {
        let force = config.in_force.as_deref().map_or_else(|| "none".to_owned(), short);
        let mistakes =
            if config.mistakes == 1 { "a mistake".to_owned() } else { format!("{} mistakes", config.mistakes) };
        let refused = short(refused);
        return format!("commit {refused} has {mistakes}, {force} stays in force: see `danube config status`");
    }
    match (&config.in_force, &config.error) {
        (_, Some(error)) => format!("the config repo cannot be looked at: {error}"),
        (Some(commit), None) => format!("commit {} is in force{seen}", short(commit)),
        (None, None) => "none is in force yet: `danube init` writes a config repo to start from".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn details(down: &[&str]) -> Details {
        serde_json::from_value(json!({
            "ready": down.is_empty(), "down": down, "version": "0.1.0", "started_at": "2027-01-15T08:00:00Z",
            "queue": { "pending": 3, "running": 2, "running_limit": 10, "oldest_pending": "2027-01-15T09:59:00Z" },
            "config": { "in_force": "c0".repeat(20), "last_success": "2027-01-15T09:00:00Z", "error": null },
            "database_bytes": 1536, "disks": [
                { "what": "database", "path": "/x", "free_bytes": 1024, "total_bytes": 1048576 },
                { "what": "logs", "path": "/x", "free_bytes": 1024, "total_bytes": 1048576 },
            ],
        }))
        .unwrap()
    }

    #[test]
    fn a_well_server_says_what_it_does() {
        let now = "2027-01-15T10:00:00Z".parse().unwrap();
        let expected = "\
✓ danube 0.1.0 at here is well, started 2 h ago

  running   2 of 10
  waiting   3, the oldest asked for 1 min ago
  config    commit c0c0c0c0c0c0 is in force, looked at 1 h ago
  database  1.5 KiB
  disk      1.0 KiB free of 1.0 MiB for database, logs  (almost full)
";
        assert_eq!(render(&details(&[]), "here", now, Look::bare()), expected);
        let ill = render(&details(&["executor"]), "here", now, Look::bare());
        assert!(ill.starts_with("✗ danube 0.1.0 at here: executor is down"), "{ill}");
        let mut refused = details(&[]);
        refused.config.refused = Some("bad0".repeat(10));
        refused.config.mistakes = 2;
        let told = render(&refused, "here", now, Look::bare());
        let line =
            "config    commit bad0bad0bad0 has 2 mistakes, c0c0c0c0c0c0 stays in force: see `danube config status`";
        assert!(told.contains(line), "{told}");
    }
}
