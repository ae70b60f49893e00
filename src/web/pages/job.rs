//! `/jobs/{id}`: the answer first, then the steps on one axis of time, then the logs.
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

use super::render;
use crate::model::Action;
use crate::model::job::Status;
use crate::model::step::StepStatus;
use crate::store::{ArtifactRow, JobRow, StepRow, artifacts, attestations, steps};
use crate::web::access;
use crate::web::api::{self, Cursor};
use crate::web::error::Answer;
use crate::web::parts::{Chrome, Focus, LogSection, chrome, note, sections};
use crate::web::state::AppState;
use crate::web::view::{
    StepLine, When, Why, axis, failing_lines, first_line, path_segment, pipeline_href, size, step_lines, took, when,
};
use crate::web::visitor::Visitor;

struct File {
    name: String,
    href: Option<String>,
    size: String,
    sha256: String,
}

#[derive(Template)]
#[template(path = "job.html")]
struct Page {
    chrome: Chrome,
    id: String,
    pipeline: String,
    pipeline_href: String,
    number: u64,
    title: String,
    status: &'static str,
    live: bool,
    after: String,
    may_cancel: bool,
    origin: String,
    commit: String,
    short_commit: String,
    author: String,
    since: &'static str,
    at: When,
    took: Option<String>,
    attempt: u32,
    why: Option<Why>,
    axis: String,
    steps: Vec<StepLine>,
    logs: Vec<LogSection>,
    artifacts: Vec<File>,
    record_label: &'static str,
    record_link: &'static str,
    attested: bool,
    verify: Option<String>,
    actor: String,
    branch: String,
    config_commit: String,
    params: Vec<(String, String)>,
}

/// Which step is open, and from which line.
#[derive(Deserialize)]
pub(in crate::web) struct Look {
    step: Option<u32>,
    from: Option<u64>,
}

/// A job.
pub(in crate::web) async fn show(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(look): Query<Look>,
) -> Answer {
    let (_read, job) = access::job(&app, &visitor, &name, Action::ReadPipeline).await?;
    page(&app, &visitor, job, look).await
}

/// A job by its number.
pub(in crate::web) async fn numbered(
    State(app): State<AppState>,
    visitor: Visitor,
    Path((pipeline, number)): Path<(String, String)>,
    Query(look): Query<Look>,
) -> Answer {
    let name = format!("{pipeline}#{number}");
    let (_read, job) = access::job(&app, &visitor, &name, Action::ReadPipeline).await?;
    page(&app, &visitor, job, look).await
}

/// Cancels, and shows the job.
pub(in crate::web) async fn cancel(State(app): State<AppState>, visitor: Visitor, Path(name): Path<String>) -> Answer {
    let (authorized, job) = access::job(&app, &visitor, &name, Action::Cancel).await?;
    let id = job.id;
    api::cancel::cancel_job(&app, authorized, job).await?;
    Ok(Redirect::to(&format!("/jobs/{id}")).into_response())
}

/// Runs an ended job again and shows the new one.
pub(in crate::web) async fn rerun(State(app): State<AppState>, visitor: Visitor, Path(name): Path<String>) -> Answer {
    let (authorized, job) = access::job(&app, &visitor, &name, Action::Rerun).await?;
    let id = api::rerun::rerun_job(&app, authorized, job).await?;
    Ok(Redirect::to(&format!("/jobs/{id}")).into_response())
}

async fn page(app: &AppState, visitor: &Visitor, job: JobRow, look: Look) -> Answer {
    let now = app.now();
    let id = job.id;
    let read = app
        .store
        .read(move |view| Ok((steps::of_job(view, id)?, artifacts::of_job(view, id)?, attestations::find(view, id)?)));
    let (rows, files, attestation) = read.await?;
    let newest = newest(&rows, &job);
    let failed = newest.iter().find(|step| failing(step)).cloned();
    let running = newest.iter().find(|step| step.status == StepStatus::Running).map(|step| step.seq);
    let seq = look.step.or(failed.as_ref().map(|step| step.seq)).or(running);
    let focus = Focus { seq: seq.or(newest.last().map(|step| step.seq)), from: look.from };
    let expired = job.logs_expired_at.is_some();
    let logs = sections(app, newest, focus, expired).await?;
    let why = why(app, &job, failed.as_ref(), &logs).await?;
    let axis = axis(&job, &rows, now);
    let success = job.status == Status::Success;
    let live = !job.status.is_terminal();
    let from = job.started_at.unwrap_or(job.created_at);
    let page = Page {
        chrome: chrome(app, visitor, "pipelines").await?,
        id: id.to_string(),
        pipeline_href: pipeline_href(&job.pipeline_name),
        title: title(&job),
        status: job.status.as_str(),
        live,
        after: after(&logs),
        may_cancel: live && job.cancel_requested_at.is_none() && access::may(visitor, Action::Cancel(job.pipeline_id)),
        origin: origin(&job),
        short_commit: job.commit_sha.chars().take(10).collect(),
        author: job.author.split(" <").next().unwrap_or_default().to_owned(),
        since: if job.started_at.is_some() { "started" } else { "made" },
        at: when(from, now),
        took: job.started_at.map(|from| took(from, job.finished_at.unwrap_or(now))),
        attempt: job.attempt,
        why,
        axis: axis.length(),
        steps: step_lines(&rows, axis, now),
        logs,
        verify: verify(app, &job, &files).filter(|_| success),
        artifacts: files.iter().map(|row| file(&job, row)).collect(),
        record_label: if success || live { "Attestation" } else { "Job record" },
        record_link: if success { "signed provenance (DSSE)" } else { "signed job record (no provenance)" },
        attested: attestation.is_some(),
        actor: job.actor.clone(),
        branch: job.tag.as_ref().map_or_else(|| job.branch.clone(), |tag| format!("{} (tag {tag})", job.branch)),
        config_commit: job.config_commit.chars().take(10).collect(),
        params: job.params.clone().into_iter().collect(),
        commit: job.commit_sha,
        pipeline: job.pipeline_name,
        number: job.number,
    };
    render(&page)
}

/// The newest attempt of every step. The coordinator is among them where no step ran, or where it
/// has something to say about the failure: then no step explains it.
fn newest(rows: &[StepRow], job: &JobRow) -> Vec<StepRow> {
    let newest = rows.iter().enumerate().filter(|(i, row)| rows.get(i + 1).is_none_or(|after| after.seq != row.seq));
    let all: Vec<StepRow> = newest.map(|(_, row)| row.clone()).collect();
    let explained = all.iter().any(|step| step.seq > 0 && failing(step));
    let failed = job.status == Status::Failure;
    let none = all.iter().all(|step| step.seq == 0);
    all.into_iter().filter(|step| step.seq > 0 || none || (failed && !explained)).collect()
}

fn failing(step: &StepRow) -> bool {
    matches!(step.status, StepStatus::Failure | StepStatus::Timeout) && !step.allow_failure
}

async fn why(app: &AppState, job: &JobRow, failed: Option<&StepRow>, logs: &[LogSection]) -> Answer<Option<Why>> {
    let plain = |class, label, sentence| Why { class, label, sentence, lines: Vec::new(), link: None, line: 0 };
    Ok(match job.status {
        Status::Success => None,
        Status::Pending => {
            let reason = api::jobs::waiting(app, job.id).await?.unwrap_or_else(|| "starts in a moment".to_owned());
            Some(plain("wait", "Why it waits", reason))
        }
        Status::Running => {
            let parked = job.parked_reason.as_ref().map(|reason| format!("It waits for: {reason}"));
            let stopping =
                job.cancel_requested_by.as_ref().map(|who| format!("It is being stopped: {who} asked for it."));
            stopping.or(parked).map(|sentence| plain("run", "What it waits for", sentence))
        }
        Status::Cancelled => {
            let reason = job.reason.clone().unwrap_or_else(|| "It was cancelled.".to_owned());
            Some(plain("wait", "Why it ended", reason))
        }
        Status::Failure | Status::Timeout => {
            let sentence = job.reason.clone().unwrap_or_else(|| {
                failed.map_or_else(|| "It failed.".to_owned(), |step| format!("{}: {}", step.name, note(step)))
            });
            let log = failed.and_then(|step| logs.iter().find(|log| log.seq == step.seq)).or(logs.first());
            let Some(log) = log else { return Ok(Some(plain("", "Why it failed", sentence))) };
            let lines = failing_lines(&log.lines, |line| line.text.as_str());
            let first = lines.first().map(|line| line.number);
            Some(Why {
                lines: lines.iter().map(|line| line.text.clone()).collect(),
                link: first.map(|number| format!("#s{}-L{number}", log.seq)),
                line: first.unwrap_or(0),
                ..plain("", "Why it failed", sentence)
            })
        }
    })
}

/// Where the page's own logs end: the live part goes on there.
fn after(logs: &[LogSection]) -> String {
    let sent = logs.iter().map(|log| ((log.seq, log.attempt), log.end)).collect();
    Cursor { sent, ..Cursor::default() }.to_string()
}

fn title(job: &JobRow) -> String {
    let title = job.title.clone().unwrap_or_else(|| first_line(&job.message));
    if title.trim().is_empty() { job.label() } else { title }
}

fn origin(job: &JobRow) -> String {
    let what = job.event.map_or(job.trigger.as_str(), crate::model::trigger::RepoEvent::as_str).replace('_', " ");
    match (&job.tag, job.pull_request) {
        (Some(tag), _) => format!("{what} {tag}"),
        (None, Some(number)) => format!("{what} {number} · {}", job.branch),
        (None, None) => format!("{what} · {}", job.branch),
    }
}

fn file(job: &JobRow, row: &ArtifactRow) -> File {
    let href = format!("/api/v1/jobs/{}/artifacts/{}", job.id, path_segment(&row.name));
    File {
        name: row.name.clone(),
        href: row.expired_at.is_none().then_some(href),
        size: size(row.size),
        sha256: row.sha256.clone(),
    }
}

/// The command that checks a download, ready to copy.
fn verify(app: &AppState, job: &JobRow, files: &[ArtifactRow]) -> Option<String> {
    let file = files.iter().find(|row| row.provenance)?;
    let source = job.pipeline().map(|pipeline| pipeline.repository).unwrap_or_default();
    Some(format!(
        "danube verify {} --attestation {}-{}.intoto.json --key signing.key.pub --source {} --builder {}",
        quoted(&file.name),
        quoted(&job.pipeline_name),
        job.number,
        quoted(&source),
        quoted(&app.builder),
    ))
}

/// A word for a shell: as it is where nothing in it is special, else in single quotes.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=".contains(c);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(plain) {
        word.to_owned()
    } else {
        let guarded = if word.starts_with('-') { format!("./{word}") } else { word.to_owned() };
        format!("'{}'", guarded.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_command_runs_nothing_else() {
        assert_eq!(quoted("danube-1.0.whl"), "danube-1.0.whl");
        assert_eq!(quoted("a; rm -rf ~"), "'a; rm -rf ~'");
        assert_eq!(quoted("it's $(x)"), "'it'\\''s $(x)'");
        assert_eq!(quoted("--key"), "'./--key'");
    }
}
