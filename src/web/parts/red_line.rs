//! A branch that is red: since when, by whom, and the first line that says why.
use jiff::Timestamp;

use super::pipeline_line::{PipelineLine, matters};
use crate::logs::{looks_wrong, plain};
use crate::model::job::Status;
use crate::model::step::StepStatus;
use crate::store::{JobRow, StoreError, jobs, steps};
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::streams;
use crate::web::view::{JobLine, job_line, reds};

/// Branches that are listed.
const LISTED: usize = 20;
/// Those whose log is looked into.
const READ: usize = 6;
/// How much of a log's end is read for its failing line.
const TAIL: usize = 32 * 1024;

/// A red branch.
pub(in crate::web) struct RedLine {
    pub(in crate::web) job: JobLine,
    pub(in crate::web) branch: String,
    /// `since #40 by Mina Ito, 3 runs`.
    pub(in crate::web) since: String,
    /// The job that it is red since.
    pub(in crate::web) first: String,
    /// The first failing line of the newest log.
    pub(in crate::web) line: Option<String>,
}

/// The red branches of pipelines, the newest first.
pub(in crate::web) async fn red_lines(app: &AppState, lines: &[PipelineLine], now: Timestamp) -> Answer<Vec<RedLine>> {
    let mut found: Vec<_> =
        lines.iter().flat_map(|line| reds(&line.heads, |branch| matters(&line.document, branch))).collect();
    found.sort_by_key(|red| std::cmp::Reverse(red.newest));
    found.truncate(LISTED);
    let wanted = found.clone();
    let read = app.store.read(move |view| {
        let both = |red: &crate::web::view::Red| Ok((jobs::get(view, red.newest)?, jobs::get(view, red.first)?));
        wanted.iter().map(both).collect::<Result<Vec<_>, StoreError>>()
    });
    let rows = read.await?;
    let mut red_lines = Vec::new();
    for (place, (red, (newest, first))) in found.into_iter().zip(rows).enumerate() {
        let by = first.author.split(" <").next().unwrap_or_default();
        let by = if by.is_empty() { first.actor.as_str() } else { by };
        let runs = if red.runs == 1 { "1 run".to_owned() } else { format!("{} runs", red.runs) };
        let longer = if red.at_least { "at least " } else { "" };
        red_lines.push(RedLine {
            line: if place < READ { failing_line(app, &newest).await } else { None },
            since: format!("since #{} by {by}, {longer}{runs}", first.number),
            first: format!("/jobs/{}", first.id),
            branch: newest.branch.clone(),
            job: job_line(&newest, None, now),
        });
    }
    Ok(red_lines)
}

/// What the failing step said first, of its last words. A log that cannot be read says nothing here; the job's page
/// tells why.
async fn failing_line(app: &AppState, job: &JobRow) -> Option<String> {
    if job.logs_expired_at.is_some() || !matches!(job.status, Status::Failure | Status::Timeout) {
        return None;
    }
    let id = job.id;
    let rows = app.store.read(move |view| steps::of_job(view, id)).await.ok()?;
    let step = rows
        .into_iter()
        .rev()
        .find(|step| matches!(step.status, StepStatus::Failure | StepStatus::Timeout) && !step.allow_failure)?;
    let file = streams::file(app, &step).ok()?;
    let length = streams::length(&file).await.ok()?;
    let tail = streams::read(&file, length.saturating_sub(TAIL as u64), TAIL).await.ok()?;
    let lines = || tail.split(|byte| *byte == b'\n').map(plain).filter(|line| !line.trim().is_empty());
    lines().find(|line| looks_wrong(line)).or_else(|| lines().next_back())
}
