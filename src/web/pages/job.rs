//! `/jobs/{id}`: the answer first, then the steps on one axis of time, then the logs.
use askama::Template;
use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse, Redirect};
use jiff::Timestamp;
use serde::Deserialize;

use super::render;
use crate::model::Action;
use crate::model::job::Status;
use crate::model::step::StepStatus;
use crate::registry::HOST_PORT;
use crate::store::artifacts::ArtifactKind;
use crate::store::cache_uses::{Found, Saved, UseRow};
use crate::store::egress::{self, FOR_IMAGE, HostRow, Verdict};
use crate::store::registry::{self, PushedRow};
use crate::store::{ArtifactRow, JobRow, StepRow, artifacts, attestations, cache_uses, job_limits, job_past, jobs};
use crate::trigger::RerunFrom;
use crate::web::access;
use crate::web::api::{self, Cursor};
use crate::web::error::Answer;
use crate::web::explain::{Evidence, Explanation, critical, explain, from_where, gather};
use crate::web::parts::{Chrome, Focus, JobNews, LogSection, TestsSum, chrome, job_news, sections};
use crate::web::state::AppState;
use crate::web::view::{
    Drawn, Queued, Waterfall, When, axis, duration, first_line, path_segment, pipeline_href, shell_word, size, took,
    waterfall, when,
};
use crate::web::visitor::Visitor;

/// Artifacts on the page; the others are in the API's list.
const ARTIFACTS: usize = 100;

/// Names on the page, of each kind.
const HOSTS: usize = 50;

struct File {
    name: String,
    href: Option<String>,
    size: String,
    dir: bool,
    sha256: String,
}

/// What a step found of a cache, and what became of it.
struct CacheLine {
    name: String,
    step: String,
    found: String,
    saved: String,
}

struct Image {
    name: String,
    size: String,
    digest: String,
    expired: bool,
}

#[derive(Template)]
#[template(path = "job.html", config = "templates/askama.toml")]
struct Page {
    chrome: Chrome,
    id: String,
    pipeline: String,
    pipeline_href: String,
    number: u64,
    before: Option<u64>,
    after_number: Option<u64>,
    title: String,
    status: &'static str,
    live: bool,
    after: String,
    may_cancel: bool,
    may_rerun: bool,
    /// Where it can go on, for the button.
    goes_on: Option<&'static str>,
    /// Why only all of it can be run again.
    all_only: Option<String>,
    /// The job that it goes on from.
    parent: Option<(String, String)>,
    stopping: Option<String>,
    origin: String,
    commit: String,
    short_commit: String,
    commit_href: Option<String>,
    author: String,
    since: &'static str,
    at: When,
    took: Option<String>,
    seconds: i64,
    usual: Option<String>,
    attempt: u32,
    explanation: Explanation,
    news: JobNews,
    tests: Option<TestsSum>,
    subject: Option<String>,
    culprit: Option<u32>,
    marks: Vec<String>,
    queued: Option<Queued>,
    steps: Waterfall,
    logs: Vec<LogSection>,
    artifacts: Vec<File>,
    artifacts_more: usize,
    artifacts_size: String,
    images: Vec<Image>,
    record_label: &'static str,
    record_link: &'static str,
    attested: bool,
    workspace: Option<String>,
    verify: Option<String>,
    actor: String,
    branch: String,
    config_commit: String,
    params: Vec<(String, String)>,
    caches: Vec<CacheLine>,
    reached: Vec<(String, String)>,
    denied: Vec<(String, String)>,
}

impl Page {
    /// A commit's id as people read it.
    fn short(&self, sha: &str) -> String {
        sha.chars().take(10).collect()
    }

    /// A reason as a sentence.
    fn capital(&self, text: &str) -> String {
        let mut chars = text.chars();
        chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
    }

    /// The place of a line of the failing step's log.
    fn line_href(&self, line: &u64) -> String {
        let step = self.culprit.unwrap_or(0);
        let shown = self.logs.iter().find(|log| log.seq == step && log.open);
        let here = shown.is_some_and(|log| log.lines.iter().any(|shown| shown.number == *line));
        let from = line.saturating_sub(20).max(1);
        if here { format!("#s{step}-L{line}") } else { format!("?step={step}&from={from}#s{step}-L{line}") }
    }
}

/// Which step is open, from which line, and which rows of the steps are shown.
#[derive(Deserialize)]
pub(in crate::web) struct Look {
    step: Option<u32>,
    from: Option<u64>,
    open: Option<String>,
    rows: Option<usize>,
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

/// Where a rerun begins: `failed`, else at the start.
#[derive(Deserialize)]
pub(in crate::web) struct RerunFields {
    from: Option<String>,
}

/// Runs an ended job again and shows the new one.
pub(in crate::web) async fn rerun(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(fields): Form<RerunFields>,
) -> Answer {
    let (authorized, job) = access::job(&app, &visitor, &name, Action::Rerun).await?;
    let from = if fields.from.as_deref() == Some("failed") { RerunFrom::Failed } else { RerunFrom::Start };
    let id = api::rerun::rerun_job(&app, authorized, job, from).await?;
    Ok(Redirect::to(&format!("/jobs/{id}")).into_response())
}

async fn page(app: &AppState, visitor: &Visitor, job: JobRow, look: Look) -> Answer {
    let now = app.now();
    let (id, pipeline_id, number) = (job.id, job.pipeline_id, job.number);
    let parent = job.parent.filter(|_| job.reuse);
    let read = app.store.read(move |view| {
        let beside = job_past::neighbours(view, pipeline_id, number)?;
        let parent = parent.map(|id| jobs::find(view, id)).transpose()?.flatten();
        let parent = parent.map(|job| (format!("/jobs/{}", job.id), job.label()));
        let made = (artifacts::of_job(view, id)?, registry::of_job(view, id)?);
        let records = (attestations::find(view, id)?, job_limits::find(view, id)?);
        let seen = (egress::of_job(view, id)?, cache_uses::of_job(view, id)?);
        Ok((made, records, beside, job_news(view, id)?, parent, seen))
    });
    let ((files, pushed), (attestation, limits), beside, news, parent, (hosts, used)) = read.await?;
    let mut evidence = gather(app, visitor, job).await?;
    let explanation = explain(&evidence);
    let tests = evidence.tests.take();
    let culprit = evidence.culprit().map(|step| step.seq);
    let newest = newest(&evidence, culprit);
    let running = newest.iter().find(|step| step.status == StepStatus::Running).map(|step| step.seq);
    let seq = look.step.or(culprit).or(running);
    let focus = Focus { seq: seq.or(newest.last().map(|step| step.seq)), from: look.from };
    let job = &evidence.job;
    let logs = sections(app, newest, focus, job.logs_expired_at.is_some()).await?;
    let axis = axis(job, &evidence.steps, now);
    let steps = waterfall(&Drawn {
        rows: &evidence.steps,
        spans: &evidence.spans,
        usual: &evidence.usual,
        critical: &critical(&evidence.spans),
        axis,
        now,
        focus: look.step.or(culprit),
        open: look.open.as_deref(),
        from: look.rows,
    });
    let success = job.status == Status::Success;
    let live = !job.status.is_terminal();
    let proven = success && !job.reuse;
    let may_rerun = !live && evidence.may.rerun;
    let goes_on = may_rerun && evidence.no_workspace == Some(None);
    let from = job.started_at.unwrap_or(job.created_at);
    let page = Page {
        chrome: chrome(app, visitor, "pipelines").await?,
        id: id.to_string(),
        pipeline_href: pipeline_href(&job.pipeline_name),
        before: beside.before,
        after_number: beside.after,
        title: title(job),
        status: job.status.as_str(),
        live,
        after: after(&logs),
        may_rerun,
        goes_on: goes_on.then(|| from_where(job.status)),
        all_only: evidence.no_workspace.clone().flatten().filter(|_| may_rerun && !success),
        parent,
        may_cancel: live && job.cancel_requested_at.is_none() && evidence.may.cancel,
        stopping: job.cancel_requested_by.clone().filter(|_| live),
        origin: origin(job),
        short_commit: job.commit_sha.chars().take(10).collect(),
        commit_href: evidence.host.as_ref().map(|host| host.commit(&job.commit_sha)),
        author: job.author.split(" <").next().unwrap_or_default().to_owned(),
        since: if job.started_at.is_some() { "started" } else { "made" },
        at: when(from, now),
        took: job.started_at.map(|from| job.finished_at.map_or_else(|| whole_seconds(from, now), |to| took(from, to))),
        seconds: (now.as_second() - from.as_second()).max(0),
        usual: evidence.usual.job.map(duration),
        attempt: job.attempt,
        tests,
        subject: Some(first_line(&job.message)).filter(|text| job.title.is_some() && !text.trim().is_empty()),
        explanation,
        news,
        culprit,
        marks: axis.marks(),
        queued: axis.queued(job, now),
        steps,
        logs,
        verify: verify(app, job, &files).filter(|_| proven),
        artifacts_more: files.len().saturating_sub(ARTIFACTS),
        artifacts_size: size(files.iter().map(|row| row.size).sum()),
        images: pushed.iter().take(ARTIFACTS).map(image).collect(),
        artifacts: files.iter().take(ARTIFACTS).map(|row| file(job, row)).collect(),
        record_label: if proven || live { "Attestation" } else { "Job record" },
        record_link: if proven { "signed provenance (DSSE)" } else { "signed job record (no provenance)" },
        attested: attestation.is_some(),
        workspace: limits.map(|limits| limits.said()),
        actor: job.actor.clone(),
        branch: job.tag.as_ref().map_or_else(|| job.branch.clone(), |tag| format!("{} (tag {tag})", job.branch)),
        config_commit: job.config_commit.chars().take(10).collect(),
        reached: names(&hosts, Verdict::Allowed),
        denied: names(&hosts, Verdict::Denied),
        params: job.params.clone().into_iter().collect(),
        caches: used.iter().map(|row| cache(row, &evidence.steps)).collect(),
        commit: job.commit_sha.clone(),
        pipeline: job.pipeline_name.clone(),
        number,
    };
    render(&page)
}

/// The newest attempt of every step. The coordinator is among them where no step ran, or where it explains the end.
fn newest(evidence: &Evidence, culprit: Option<u32>) -> Vec<StepRow> {
    let rows = &evidence.steps;
    let newest = rows.iter().enumerate().filter(|(i, row)| rows.get(i + 1).is_none_or(|after| after.seq != row.seq));
    let none = rows.iter().all(|step| step.seq == 0);
    newest.filter(|(_, row)| row.seq > 0 || none || culprit == Some(0)).map(|(_, row)| row.clone()).collect()
}

/// Where the page's own logs end: the live part goes on there.
fn after(logs: &[LogSection]) -> String {
    let sent = logs.iter().map(|log| ((log.seq, log.attempt), log.end)).collect();
    Cursor { sent, ..Cursor::default() }.to_string()
}

/// What the page's clock goes on from: it says no parts of a second.
fn whole_seconds(from: Timestamp, to: Timestamp) -> String {
    let seconds = (to.as_second() - from.as_second()).max(0);
    if seconds < 60 { format!("{seconds} s") } else { duration(seconds * 1000) }
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

/// Names with what is to be said of each; the API has those that are left out.
fn names(rows: &[HostRow], verdict: Verdict) -> Vec<(String, String)> {
    let mut names: Vec<(String, String)> = Vec::new();
    for row in rows.iter().filter(|row| row.verdict == verdict) {
        if let Some((_, detail)) = names.last_mut().filter(|(name, _)| *name == row.name) {
            // Where a step itself came says more.
            if detail == FOR_IMAGE {
                detail.clone_from(&row.detail);
            }
            continue;
        }
        names.push((row.name.clone(), row.detail.clone()));
        if names.len() == HOSTS {
            break;
        }
    }
    names
}

fn cache(row: &UseRow, steps: &[StepRow]) -> CacheLine {
    let time = |millis: u64| duration(i64::try_from(millis).unwrap_or(i64::MAX));
    let found = match row.found {
        Found::Hit => format!("restored {} of {} in {}", size(row.found_bytes), row.found_note, time(row.found_millis)),
        Found::Here => row.found_note.clone(),
        Found::Miss if row.found_note.is_empty() => "nothing was stored".to_owned(),
        Found::Miss => row.found_note.clone(),
    };
    let saved = match row.saved {
        None => String::new(),
        Some(Saved::Stored) => format!("stored {} in {}", size(row.saved_bytes), time(row.saved_millis)),
        Some(Saved::Unchanged) => "unchanged".to_owned(),
        Some(Saved::No) => format!("not stored: {}", row.saved_note),
    };
    let key = if row.key.is_empty() { String::new() } else { format!(" ({})", row.key) };
    let step = steps.iter().find(|step| step.id == row.step_id).map(|step| step.name.clone());
    CacheLine { name: format!("{}{key}", row.name), step: step.unwrap_or_default(), found, saved }
}

fn file(job: &JobRow, row: &ArtifactRow) -> File {
    let href = format!("/api/v1/jobs/{}/artifacts/{}", job.id, path_segment(&row.name));
    File {
        name: row.name.clone(),
        href: row.expired_at.is_none().then_some(href),
        size: size(row.size),
        dir: row.kind == ArtifactKind::Dir,
        sha256: row.sha256.clone(),
    }
}

fn image(row: &PushedRow) -> Image {
    let tag = if row.tag.is_empty() { String::new() } else { format!(":{}", row.tag) };
    Image {
        name: format!("{HOST_PORT}/{}{tag}", row.repository),
        size: size(row.bytes),
        digest: row.digest.clone(),
        expired: row.expired_at.is_some(),
    }
}

/// The command that checks a download, ready to copy.
fn verify(app: &AppState, job: &JobRow, files: &[ArtifactRow]) -> Option<String> {
    let file = files.iter().find(|row| row.provenance)?;
    let source = job.pipeline().map(|pipeline| pipeline.repository).unwrap_or_default();
    Some(format!(
        "danube verify {} --attestation {}-{}.intoto.json --key signing.key.pub --source {} --builder {}",
        shell_word(&file.name),
        shell_word(&job.pipeline_name),
        job.number,
        shell_word(&source),
        shell_word(&app.builder),
    ))
}
