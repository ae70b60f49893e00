//! `danube audit`: who did what, newest first.
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::client::{Client, ClientError, Connection, Pages, Request, command, read, segment};
use super::say::{say, say_json};
use super::since::since;
use super::style::{Cell, Colour, Look, plain, table};
use super::trigger::unsaid;

/// Show who did what, newest first
#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// Only since then: 30min, 24h, 7d, a day like 2027-01-15, or 2027-01-15T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// Only this action, like job.cancel
    #[arg(long)]
    action: Option<String>,
    /// Only by this person or token, as the list says it
    #[arg(long, value_name = "WHO")]
    principal: Option<String>,
    /// Only about this pipeline
    #[arg(long)]
    pipeline: Option<String>,
    /// Only what was decided so: allowed or denied
    #[arg(long, value_parser = ["allowed", "denied"])]
    decision: Option<String>,
    /// At most so many lines
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    /// Go on where the page before ended
    #[arg(long)]
    cursor: Option<String>,
    /// Show all lines, however many there are
    #[arg(long, conflicts_with_all = ["limit", "cursor"])]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Deserialize)]
struct Line {
    at: Timestamp,
    who: String,
    action: String,
    resource: String,
    decision: String,
    #[serde(default)]
    detail: String,
    #[serde(default = "sound")]
    sound: bool,
}

const fn sound() -> bool {
    true
}

#[derive(Deserialize)]
struct Page {
    lines: Vec<Line>,
    next: Option<String>,
}

pub(super) fn run(args: &AuditArgs) -> anyhow::Result<ExitCode> {
    command(&args.connection, |client| async move {
        audit(&client, args).await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn audit(client: &Client, args: &AuditArgs) -> Result<(), ClientError> {
    let look = Look::of(&std::io::stdout());
    let request = |path: String| Request::get(path).newer("who did what");
    if !args.all {
        let cursor = args.cursor.as_ref().map_or_else(String::new, |text| format!("&cursor={}", segment(text)));
        let answer: Value = client.fetch(request(format!("{}&limit={}{cursor}", query(args), args.limit))).await?;
        if args.json {
            return say_json(&answer).map_err(unsaid);
        }
        let page: Page = read(client, answer)?;
        let more = page.next.map(|next| format!("more: --cursor {}, or --all\n", plain(&next)));
        let text = render(&page.lines, look) + &look.paint(Colour::Dim, &more.unwrap_or_default());
        return say(&text).map_err(ClientError::output);
    }
    let mut pages = Pages::of(client, request(query(args)), "lines");
    if args.json {
        return pages.json(|text| say(text).map_err(ClientError::output)).await;
    }
    let mut first = true;
    while let Some(rows) = pages.next().await? {
        let lines = rows.into_iter().map(|row| read(client, row)).collect::<Result<Vec<Line>, _>>()?;
        if first || !lines.is_empty() {
            say(&render(&lines, look)).map_err(ClientError::output)?;
        }
        first = false;
    }
    Ok(())
}

fn query(args: &AuditArgs) -> String {
    let since = args.since.map(|at| at.to_string());
    let words = [
        ("since", since.as_deref()),
        ("action", args.action.as_deref()),
        ("who", args.principal.as_deref()),
        ("pipeline", args.pipeline.as_deref()),
        ("decision", args.decision.as_deref()),
    ];
    let given = words.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", segment(value?))));
    format!("/api/v1/audit?{}", given.collect::<Vec<_>>().join("&"))
}

fn render(lines: &[Line], look: Look) -> String {
    if lines.is_empty() {
        return "no lines\n".to_owned();
    }
    let row = |line: &Line| -> [Cell; 6] {
        let denied = line.decision == "denied";
        let decision = Cell::new(&line.decision);
        let changed = if line.sound { "" } else { "THIS LINE WAS CHANGED AFTER IT WAS WRITTEN: " };
        [
            Cell::new(&super::style::exact(line.at)).whole(),
            line.who.as_str().into(),
            line.action.as_str().into(),
            line.resource.as_str().into(),
            if denied { decision.colour(Colour::Bad) } else { decision },
            format!("{changed}{}", line.detail).into(),
        ]
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    table(["WHEN", "WHO", "ACTION", "RESOURCE", "DECISION", "DETAIL"], &rows, look)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_that_was_changed_later_says_so_and_moves_no_cursor() {
        let line = |sound: bool| -> Line {
            serde_json::from_value(json!({
                "seq": 1, "at": "2027-01-15T08:00:00Z", "who": "mina\u{1b}[2J", "action": "job.cancel",
                "resource": "web#42", "decision": "denied", "detail": "", "sound": sound, "hash": "",
            }))
            .unwrap()
        };
        let text = render(&[line(true), line(false)], Look::bare());
        assert_eq!(text.matches("THIS LINE WAS CHANGED").count(), 1);
        assert!(text.contains("2027-01-15 08:00:00 UTC  mina\u{fffd}[2J  job.cancel  web#42    denied"), "{text}");
    }
}
