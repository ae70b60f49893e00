//! `GET /api/v1/jobs/{id}/steps/{n}/lines` and `GET /api/v1/jobs/{id}/search`: logs as lines.
use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::log::AttemptQuery;
use crate::logs::{self, Meaning, Place, Stream, plain};
use crate::model::Action;
use crate::store::steps;
use crate::web::access;
use crate::web::error::{Answer, WebError};
use crate::web::parts;
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
    let lines: Vec<Value> = window
        .rows
        .into_iter()
        .map(|row| {
            json!({
                "number": row.number,
                "offset": row.offset,
                "length": row.length,
                "time": row.written.and_then(|(time, _)| Timestamp::from_nanosecond(i128::from(time)).ok()),
                "stream": row.written.map(|(_, stream)| word(stream)),
                "text": plain(&row.bytes),
                "cut": row.cut,
            })
        })
        .collect();
    Ok(Json(json!({ "lines": lines, "next": next, "total": window.lines, "bytes": window.length })).into_response())
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
    let hits: Vec<Value> = searched
        .hits
        .into_iter()
        .map(|found| {
            json!({
                "step": found.seq,
                "attempt": found.attempt,
                "name": found.step,
                "line": found.hit.spot.line,
                "offset": found.hit.spot.offset,
                "text": found.hit.text,
                "before": found.hit.before,
                "after": found.hit.after,
                "url": format!("/jobs/{id}/log?step={0}&attempt={1}&line={2}#s{0}-L{2}", found.seq, found.attempt, found.hit.spot.line),
            })
        })
        .collect();
    Ok(Json(json!({ "hits": hits, "next": searched.next })).into_response())
}
