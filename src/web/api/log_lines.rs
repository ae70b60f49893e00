//! `GET /api/v1/jobs/{id}/steps/{n}/lines` and `GET /api/v1/jobs/{id}/search`: logs as lines.
use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::log::AttemptQuery;
use crate::logs::{self, Meaning, Place, Row, Stream, plain};
use crate::model::{Action, JobId};
use crate::store::steps;
use crate::web::access;
use crate::web::error::{Answer, WebError};
use crate::web::parts::{self, StepHit};
use crate::web::query::Query;
use crate::web::state::AppState;
use crate::web::streams;
use crate::web::visitor::Visitor;

/// Lines of one answer, at most.
const MOST: usize = 1000;
/// Lines where nothing is said.
const USUAL: usize = 100;

/// Which lines of a step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct LinesQuery {
    /// The attempt, from 1; the newest where it is left out.
    attempt: Option<u32>,
    /// The first line's number; the last lines where it is left out.
    from: Option<u64>,
    /// Lines at most, 1 to 1000 (100).
    limit: Option<usize>,
}

/// A window of a step's log.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LogLines")]
pub(in crate::web) struct Lines {
    lines: Vec<Line>,
    /// The number of the line behind the last one; none: the log ends here for now.
    next: Option<u64>,
    /// Lines of the whole log; none: they were not counted.
    total: Option<u64>,
    /// Bytes of the whole log.
    bytes: u64,
}

/// A line of a log.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LogLine")]
struct Line {
    /// From 1; none: it was not counted.
    number: Option<u64>,
    /// Where its bytes begin.
    offset: u64,
    length: u64,
    time: Option<Timestamp>,
    /// `stdout`, `stderr` or `note`: what Danube itself said.
    stream: Option<&'static str>,
    /// As it is shown: no escape sequences, no control characters.
    text: String,
    /// It is longer than `text`.
    cut: bool,
}

/// Lines that have the text.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LogSearch")]
pub(in crate::web) struct Hits {
    hits: Vec<Found>,
    /// The cursor to go on with, also where nothing was found yet; none: everything was searched.
    next: Option<String>,
}

/// A line that has the text.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LogHit")]
struct Found {
    step: u32,
    attempt: u32,
    /// The step's name.
    name: String,
    line: u64,
    /// Where its bytes begin.
    offset: u64,
    text: String,
    /// The line before it.
    before: Option<String>,
    /// The line after it.
    after: Option<String>,
    /// Where a person reads it, below the server's address.
    url: String,
}

/// What to search for, and where to go on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct SearchQuery {
    /// Read after the rights: who may not see the job learns nothing of its search.
    #[serde(default)]
    q: String,
    /// Only in this step's log.
    step: Option<u32>,
    /// Lines at most, 1 to 1000 (100).
    limit: Option<usize>,
    /// `next` of the answer before.
    cursor: Option<String>,
    /// Upper and lower case are told apart.
    #[serde(default)]
    case: bool,
    /// The text is a regular expression.
    #[serde(default)]
    regex: bool,
}

/// A window of a step's log.
pub(in crate::web) async fn lines(
    State(app): State<AppState>,
    visitor: Visitor,
    Path((name, seq)): Path<(String, String)>,
    Query(query): Query<LinesQuery>,
) -> Answer {
    let step = super::log::attempt(&app, &visitor, &name, &seq, AttemptQuery::of(query.attempt)).await?;
    let place = query.from.map_or(Place::Tail, |from| Place::Line(from.clamp(1, 1 << 60)));
    let window = parts::window(&app, &step, place, query.limit.unwrap_or(USUAL).clamp(1, MOST)).await?;
    let next = window.rows.last().and_then(|row| row.number).filter(|_| window.more).map(|number| number + 1);
    let lines = window.rows.iter().map(line).collect();
    Ok(Json(Lines { lines, next, total: window.lines, bytes: window.length }).into_response())
}

fn line(row: &Row) -> Line {
    let time = |nanoseconds: i64| Timestamp::from_nanosecond(i128::from(nanoseconds)).ok();
    Line {
        number: row.number,
        offset: row.offset,
        length: row.length,
        time: row.written.and_then(|(written, _)| time(written)),
        stream: row.written.map(|(_, stream)| word(stream)),
        text: plain(&row.bytes),
        cut: row.cut,
    }
}

fn word(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
        Stream::Note => "note",
    }
}

/// Lines of a job's logs that have a text.
pub(in crate::web) async fn search(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(asked): Query<SearchQuery>,
) -> Answer {
    let (_read, job) = access::job(&app, &visitor, &name, Action::ReadPipeline).await?;
    streams::kept(&job)?;
    let id = job.id;
    let rows = app.store.read(move |view| steps::of_job(view, id)).await?;
    let rows = rows.into_iter().filter(|row| asked.step.is_none_or(|step| step == row.seq)).collect();
    let meaning = Meaning { expression: asked.regex, case: asked.case };
    let query = logs::Query::new(&asked.q, meaning).map_err(|error| WebError::bad_request(error.to_string()))?;
    let limit = asked.limit.unwrap_or(USUAL).clamp(1, MOST);
    let searched = parts::find(&app, rows, query, asked.cursor.as_deref(), limit).await?;
    let hits = searched.hits.into_iter().map(|found| hit(id, found)).collect();
    Ok(Json(Hits { hits, next: searched.next }).into_response())
}

fn hit(job: JobId, found: StepHit) -> Found {
    let StepHit { seq, attempt, step, hit } = found;
    let line = hit.spot.line;
    Found {
        step: seq,
        attempt,
        name: step,
        line,
        offset: hit.spot.offset,
        text: hit.text,
        before: hit.before,
        after: hit.after,
        url: format!("/jobs/{job}/log?step={seq}&attempt={attempt}&line={line}#s{seq}-L{line}"),
    }
}
