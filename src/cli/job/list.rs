//! `danube job list`.
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::client::{Client, ClientError, Job, Page, Pages, Request, meant, read, segment};
use crate::cli::say::{say, say_json};
use crate::cli::since::since;
use crate::cli::style::{Cell, Colour, Look, ago, plain, state, table, took};
use crate::cli::trigger::unsaid;
use crate::model::job::Status;
use crate::platform::{Clock as _, SystemClock};

/// Characters of the last column.
const WHAT: usize = 72;

/// List jobs, newest first
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only of this pipeline
    #[arg(long)]
    pipeline: Option<String>,
    /// Only in this state: pending, running, success, failure, cancelled, timeout
    #[arg(long)]
    status: Option<Status>,
    /// Only of this branch
    #[arg(long)]
    branch: Option<String>,
    /// Only of this commit: 40 hex digits
    #[arg(long, value_name = "SHA")]
    commit: Option<String>,
    /// Only started by this person or token, as `job show` says it
    #[arg(long, value_name = "WHO")]
    actor: Option<String>,
    /// Only made since then: 30min, 24h, 7d, a day like 2027-01-15, or 2027-01-15T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    /// Go on where the page before ended
    #[arg(long)]
    cursor: Option<String>,
    /// Show all jobs, however many there are
    #[arg(long, conflicts_with_all = ["limit", "cursor"])]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, args: &ListArgs) -> Result<ExitCode, ClientError> {
    let listed = list(client, args).await;
    match (listed, &args.pipeline) {
        (Ok(()), _) => Ok(ExitCode::SUCCESS),
        (Err(error), Some(name)) => Err(meant(client, name, error).await),
        (Err(error), None) => Err(error),
    }
}

async fn list(client: &Client, args: &ListArgs) -> Result<(), ClientError> {
    let look = Look::of(&std::io::stdout());
    let mut request = Request::get(path(args));
    if let Some(name) = &args.pipeline {
        request = request.about(format!("the pipeline {name}"));
    }
    if args.all {
        let mut pages = Pages::of(client, request, "jobs");
        if args.json {
            return pages.json(|text| say(text).map_err(ClientError::output)).await;
        }
        let mut first = true;
        while let Some(rows) = pages.next().await? {
            let jobs = rows.into_iter().map(|row| read(client, row)).collect::<Result<Vec<Job>, _>>()?;
            if first || !jobs.is_empty() {
                say(&render(&Page { jobs, next: None }, SystemClock.now(), look)).map_err(ClientError::output)?;
            }
            first = false;
        }
    } else if args.json {
        let answer: Value = client.fetch(request).await?;
        say_json(&answer).map_err(unsaid)?;
    } else {
        let page: Page = client.fetch(request).await?;
        say(&render(&page, SystemClock.now(), look)).map_err(ClientError::output)?;
    }
    Ok(())
}

fn path(args: &ListArgs) -> String {
    let since = args.since.map(|at| at.to_string());
    let limit = (!args.all).then(|| args.limit.to_string());
    let words = [
        ("limit", limit.as_deref()),
        ("pipeline", args.pipeline.as_deref()),
        ("status", args.status.map(Status::as_str)),
        ("branch", args.branch.as_deref()),
        ("commit", args.commit.as_deref()),
        ("actor", args.actor.as_deref()),
        ("since", since.as_deref()),
        ("cursor", args.cursor.as_deref()),
    ];
    let given = words.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", segment(value?))));
    format!("/api/v1/jobs?{}", given.collect::<Vec<_>>().join("&"))
}

fn render(page: &Page, now: Timestamp, look: Look) -> String {
    if page.jobs.is_empty() {
        return "no jobs\n".to_owned();
    }
    let rows: Vec<[Cell; 7]> = page.jobs.iter().map(|job| row(job, now)).collect();
    let mut text = table(["JOB", "STATE", "BRANCH", "COMMIT", "WHEN", "TOOK", "WHAT"], &rows, look);
    if let Some(next) = &page.next {
        let more = format!("more: --cursor {}, or --all", plain(next));
        text.push_str(&look.paint(Colour::Dim, &more));
        text.push('\n');
    }
    text
}

fn row(job: &Job, now: Timestamp) -> [Cell; 7] {
    let at = job.finished_at.or(job.started_at).unwrap_or(job.created_at);
    let age = job.started_at.map_or_else(String::new, |from| took(from, job.finished_at.unwrap_or(now)));
    let why = match job.status {
        Status::Failure | Status::Timeout => job.reason.as_deref(),
        Status::Running => job.parked.as_deref(),
        _ => None,
    };
    let what: String = why.unwrap_or_else(|| job.subject()).chars().take(WHAT).collect();
    let label = Cell::new(&job.label()).colour(Colour::Bold).whole();
    [
        label,
        state(job.status).into(),
        job.line().into(),
        Cell::new(job.short_commit()).whole(),
        Cell::new(&ago(at, now)).whole(),
        Cell::new(&age).whole(),
        what.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::tests::{at, job};

    #[test]
    fn jobs_stand_in_columns_with_why_they_failed() {
        let mut failed = job(Status::Failure);
        (failed.started_at, failed.finished_at) = (Some(at(1)), Some(at(74)));
        failed.reason = Some("step \"test\" failed:\u{1b}[2J exit code 1".to_owned());
        let mut waits = job(Status::Pending);
        waits.number = 7;
        waits.branch = "feature/long-name".to_owned();
        let page = Page { jobs: vec![failed, waits], next: Some("0189".to_owned()) };
        let expected = "\
JOB     STATE      BRANCH             COMMIT    WHEN     TOOK        WHAT
web#42  ✗ failure  main               9f3c1ab0  2 h ago  1 min 13 s  step \"test\" failed:\u{fffd}[2J exit code 1
web#7   ◌ pending  feature/long-name  9f3c1ab0  2 h ago              Reject bare carriage returns
more: --cursor 0189, or --all
";
        assert_eq!(render(&page, at(7274), Look::bare()), expected);
    }

    #[test]
    fn the_query_carries_names_as_they_are() {
        let args = ListArgs {
            pipeline: Some("a&b c".to_owned()),
            status: Some(Status::Failure),
            branch: None,
            commit: None,
            actor: None,
            since: Some(at(0)),
            limit: 5,
            cursor: None,
            all: false,
            json: false,
        };
        assert_eq!(
            path(&args),
            "/api/v1/jobs?limit=5&pipeline=a%26b%20c&status=failure&since=2027-01-15T08%3A00%3A00Z"
        );
    }
}
