//! `GET /api/v1/jobs/{id}/log` and `GET /api/v1/jobs/{id}/steps/{n}/log`.
use std::io::Read;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::logs::{JobLog, LogError, StreamFile};
use crate::model::Action;
use crate::store::{StepRow, jobs, steps};
use crate::web::access;
use crate::web::blocking;
use crate::web::error::{Answer, WebError};
use crate::web::query::Query;
use crate::web::range;
use crate::web::state::AppState;
use crate::web::streams;
use crate::web::visitor::Visitor;

/// Raw bytes: never shown by a browser as anything but text.
const TEXT: &str = "text/plain; charset=utf-8";

/// Which attempt of a step; the newest where it is left out.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct AttemptQuery {
    /// The attempt, from 1.
    attempt: Option<u32>,
    /// The first byte, for links: they cannot carry a `Range`.
    from: Option<u64>,
    /// How many bytes from there.
    length: Option<u64>,
}

impl AttemptQuery {
    pub(super) fn of(attempt: Option<u32>) -> Self {
        Self { attempt, from: None, length: None }
    }
}

/// The bytes of one step, as they were written.
pub(in crate::web) async fn step(
    State(app): State<AppState>,
    visitor: Visitor,
    Path((name, seq)): Path<(String, String)>,
    Query(query): Query<AttemptQuery>,
    headers: HeaderMap,
) -> Answer {
    let part = (query.from.is_some() || query.length.is_some())
        .then(|| (query.from.unwrap_or(0), query.length.unwrap_or(u64::MAX)));
    let row = attempt(&app, &visitor, &name, &seq, query).await?;
    let file = streams::file(&app, &row)?;
    let length = streams::length(&file).await?;
    if let Some((from, most)) = part {
        let (at, end) = (from.min(length), from.saturating_add(most).min(length));
        let kind = [(header::CONTENT_TYPE, TEXT)];
        return Ok((kind, blocking::body(Stretch { at, end, source: file })).into_response());
    }
    let wanted = range::wanted(&headers, length);
    let bytes = wanted.bytes(length);
    Ok(range::respond(wanted, length, TEXT, blocking::body(Stretch { at: bytes.start, end: bytes.end, source: file })))
}

/// The attempt of a step that is asked for, if the visitor may see it.
pub(super) async fn attempt(
    app: &AppState,
    visitor: &Visitor,
    name: &str,
    seq: &str,
    query: AttemptQuery,
) -> Answer<StepRow> {
    let (_read, job) = access::job(app, visitor, name, Action::ReadPipeline).await?;
    streams::kept(&job)?;
    let seq: u32 = seq.parse().map_err(|_| WebError::not_found())?;
    let id = job.id;
    let rows = app.store.read(move |view| steps::attempts(view, id, seq)).await?;
    let row = match query.attempt {
        Some(wanted) => rows.into_iter().find(|row| row.attempt == wanted),
        None => rows.into_iter().next_back(),
    };
    let row = row.ok_or_else(WebError::not_found)?;
    if let Some(from) = row.reused_from {
        let origin = app.store.read(move |view| jobs::find(view, from)).await?;
        streams::kept(&origin.ok_or_else(WebError::not_found)?)?;
    }
    Ok(row)
}

/// The whole log of a job in order of time: a view over its streams, in which every range is cheap.
pub(in crate::web) async fn whole(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let (_read, job) = access::job(&app, &visitor, &name, Action::ReadPipeline).await?;
    streams::kept(&job)?;
    let dir = app.logs_of(job.id);
    let log = blocking::run(move || JobLog::open(&dir)).await?;
    let length = log.total_len();
    let wanted = range::wanted(&headers, length);
    let bytes = wanted.bytes(length);
    Ok(range::respond(wanted, length, TEXT, blocking::body(Stretch { at: bytes.start, end: bytes.end, source: log })))
}

/// A part of a log as a reader. It gives exactly the bytes that were announced: logs only grow.
struct Stretch<S> {
    source: S,
    at: u64,
    end: u64,
}

/// Something with bytes at offsets.
trait ReadAt {
    fn read_at(&self, at: u64, most: usize) -> Result<Vec<u8>, LogError>;
}

impl ReadAt for JobLog {
    fn read_at(&self, at: u64, most: usize) -> Result<Vec<u8>, LogError> {
        Self::read_at(self, at, most)
    }
}

impl ReadAt for StreamFile {
    fn read_at(&self, at: u64, most: usize) -> Result<Vec<u8>, LogError> {
        self.read_range(at, most)
    }
}

impl<S: ReadAt> Read for Stretch<S> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let bytes = self.source.read_at(self.at, most).map_err(std::io::Error::other)?;
        if bytes.is_empty() {
            return Err(std::io::Error::other("the log became shorter while it was read"));
        }
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}
