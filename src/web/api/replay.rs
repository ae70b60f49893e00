//! `GET /api/v1/jobs/{id}/replay` and its `/source`: what `danube replay` runs a danubefile again with.
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::mirror::{MirrorError, TarLimits};
use crate::model::job::Status;
use crate::model::{Action, JobId};
use crate::orchestrator::{Context, RecordedCall};
use crate::store::{JobRow, JournalRow, journal};
use crate::web::access;
use crate::web::blocking;
use crate::web::cursor::Cursors;
use crate::web::error::{Answer, WebError};
use crate::web::openapi::AnyJson;
use crate::web::query::{PageQuery, Query};
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// Calls of an answer, at most.
const CALLS: u32 = 200;
/// Bytes of requests and answers after which a page ends.
const BYTES: usize = 8 << 20;
/// What a checkout may have.
const SOURCE: TarLimits = TarLimits { bytes: 512 << 20, members: 100_000 };

/// An ended job with its calls.
#[derive(Serialize, JsonSchema)]
pub(in crate::web) struct Replay {
    id: JobId,
    /// Its pipeline and number: `web#42`.
    label: String,
    status: Status,
    /// Why it ended so.
    reason: Option<String>,
    commit: String,
    /// The danubefile, from the top of the repository.
    script: String,
    /// What `ctx` shows.
    #[schemars(with = "AnyJson")]
    context: Context,
    /// In order of arrival.
    calls: Vec<Call>,
    /// The cursor of the next calls; none: these are the last.
    next: Option<String>,
}

/// A call of the SDK.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReplayCall")]
struct Call {
    /// Its key in the journal.
    key: String,
    /// The file of the line that made it.
    file: String,
    /// The line, from 1; 0: unknown.
    line: u32,
    /// What was asked for; values of secrets are never in it.
    #[schemars(with = "AnyJson")]
    request: serde_json::Value,
    /// `{"ok": …}`, or an error by its kind; none: the job ended before it.
    #[schemars(with = "Option<AnyJson>")]
    answer: Option<serde_json::Value>,
}

/// What a job's danubefile asked and was answered.
pub(in crate::web) async fn show(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(query): Query<PageQuery>,
) -> Answer {
    let (_replay, job) = access::job(&app, &visitor, &name, Action::Replay).await?;
    ended(&job)?;
    let list = Cursors::of("replay", &job.id);
    let after: u64 = list.read(query.cursor.as_deref())?.unwrap_or_default();
    let limit = query.limit()?.min(CALLS);
    let id = job.id;
    let mut rows = app.store.read(move |view| journal::page(view, id, after, limit)).await?;
    let full = rows.len() == limit as usize;
    let cut = fitting(&rows);
    let more = full || cut < rows.len();
    rows.truncate(cut);
    let next = rows.last().filter(|_| more).map(|row| list.write(&row.seq));
    let pipeline = job.pipeline()?;
    let url = format!("{}/jobs/{id}", app.public_url.as_deref().unwrap_or_default());
    let replay = Replay {
        id,
        label: job.label(),
        status: job.status,
        commit: job.commit_sha.clone(),
        context: Context::of(&job, &pipeline.repository, url),
        script: pipeline.script,
        reason: job.reason,
        calls: rows.into_iter().map(call).collect(),
        next,
    };
    Ok(Json(replay).into_response())
}

/// How many of the rows make one answer: at least one.
fn fitting(rows: &[JournalRow]) -> usize {
    let mut bytes = 0;
    let fits = rows.iter().take_while(|row| {
        bytes += row.request.len() + row.answer.as_ref().map_or(0, Vec::len);
        bytes <= BYTES
    });
    fits.count().max(1).min(rows.len())
}

fn call(row: JournalRow) -> Call {
    let RecordedCall { key, file, line, request, answer } = row.into();
    Call { key, file, line, request, answer }
}

fn ended(job: &JobRow) -> Answer<()> {
    if job.status.is_terminal() {
        return Ok(());
    }
    let text = format!("{} is {}: it can be replayed when it has ended.", job.label(), job.status);
    Err(WebError::new(StatusCode::CONFLICT, "The job has not ended", text))
}

/// The files of the job's commit, as a tar.
pub(in crate::web) async fn source(State(app): State<AppState>, visitor: Visitor, Path(name): Path<String>) -> Answer {
    let (_replay, job) = access::job(&app, &visitor, &name, Action::Replay).await?;
    ended(&job)?;
    let repository = job.pipeline()?.repository;
    let mirror = app.trigger.repos.mirror(&repository).map_err(|error| unread(&job, &error))?;
    let archive = mirror.objects().archive(&job.commit_sha, app.trigger.repos.dir(), SOURCE).await;
    let archive = archive.map_err(|error| unread(&job, &error))?;
    let mut response = Response::new(blocking::body(archive.file));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(archive.len));
    Ok(response)
}

fn unread(job: &JobRow, error: &MirrorError) -> WebError {
    let own = "replay it with `--source` and a checkout of your own";
    match error {
        MirrorError::NoCommit { .. } => WebError::new(
            StatusCode::GONE,
            "The commit is not here any more",
            format!("The server's copy of the repository has no {}: {own} at it.", job.commit_sha),
        ),
        error if error.is_retryable() => {
            WebError::new(StatusCode::SERVICE_UNAVAILABLE, "The repository can't be read", error.to_string())
                .retry_after(5)
        }
        error => {
            WebError::new(StatusCode::UNPROCESSABLE_ENTITY, "The checkout can't be sent", format!("{error}: {own}."))
        }
    }
}
