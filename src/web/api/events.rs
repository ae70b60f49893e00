//! `GET /api/v1/jobs/{id}/events`: state changes and log bytes as they come.
//!
//! Events: `state` (the job with its steps), `log` (`step`, `attempt`, `offset`, `length` and `text`, or
//! `base64` where the bytes are no UTF-8), `end`. Each is one line of JSON, so that no log byte can end an
//! event. Every event's id holds the follower's whole place: after a break, also of the server, it goes on
//! there, and no byte is sent twice or left out. `?logs=0` leaves the logs out; `?logs=offsets` says
//! where bytes came without saying them, for pages that fetch lines.
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{Stream, stream};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::follow::Cursor;
use super::job_json;
use crate::model::{Action, JobId};
use crate::store::{JobRow, StepRow, jobs, steps};
use crate::web::access;
use crate::web::error::{Answer, WebError};
use crate::web::guard;
use crate::web::query::Query;
use crate::web::state::AppState;
use crate::web::streams;
use crate::web::visitor::Visitor;

/// Bytes of log in one event.
const CHUNK: usize = 64 * 1024;
/// Bytes of a place in an address.
const PLACE: usize = 64 * 1024;
/// Events made in one look: what a follower that does not read holds in memory.
const BATCH: usize = 8;
/// Looks at a running job happen at least this often where nobody tells that its log files grow.
const LOOK: Duration = Duration::from_millis(200);
/// And where somebody does.
const RARE_LOOK: Duration = Duration::from_secs(2);
/// Rows are not read more often than this, however much the store changes.
const PAUSE: Duration = Duration::from_millis(50);
/// A follower's right to follow is asked again after this time.
const RIGHTS_SECONDS: i64 = 5;

/// Where to go on, for clients that cannot send `Last-Event-ID` at first.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct From {
    /// The id of the last event that was seen.
    after: Option<String>,
    /// 1 (nothing): log bytes; offsets: only how far logs go; 0: states alone.
    logs: Option<Logs>,
}

/// What a follower wants of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
enum Logs {
    #[serde(rename = "0")]
    None,
    #[serde(rename = "offsets")]
    Offsets,
    #[default]
    #[serde(rename = "1")]
    Bytes,
}

/// Follows a job until it has ended and everything was sent.
pub(in crate::web) async fn follow(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(from): Query<From, PLACE>,
    headers: HeaderMap,
) -> Answer {
    let (_read, job) = access::job(&app, &visitor, &name, Action::ReadPipeline).await?;
    // What the browser says on a reconnect is newer than what the page's address says.
    let last = headers.get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
    let cursor = match last.or(from.after).filter(|id| !id.is_empty()) {
        Some(id) => place(&app, &job, &id).await?,
        None => Cursor::default(),
    };
    let permit = app.followers.clone().try_acquire_owned().map_err(|_| {
        WebError::new(StatusCode::SERVICE_UNAVAILABLE, "Too many followers", "Too many live logs are open; try again.")
            .retry_after(5)
    })?;
    let follower = Follower {
        changes: app.store.changes(),
        checked: app.now(),
        job: job.id,
        rows: None,
        due: Instant::now(),
        grown: None,
        cursor,
        logs: from.logs.unwrap_or_default(),
        ready: VecDeque::new(),
        over: false,
        visitor,
        headers,
        app,
        _permit: permit,
    };
    Ok(Sse::new(follower.events()).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response())
}

/// The place that an event id names, if it is one in this job's logs.
async fn place(app: &AppState, job: &JobRow, id: &str) -> Answer<Cursor> {
    let foreign = || WebError::bad_request("the event id is none of ours; leave it out to start from the beginning");
    let cursor = Cursor::parse(id).ok_or_else(foreign)?;
    let job_id = job.id;
    let rows = app.store.read(move |view| steps::of_job(view, job_id)).await?;
    for (stream, offset) in &cursor.sent {
        let row = rows.iter().find(|row| (row.seq, row.attempt) == *stream).ok_or_else(foreign)?;
        if job.logs_expired_at.is_none() && *offset > streams::length(&streams::file(app, row)?).await? {
            return Err(foreign());
        }
    }
    Ok(cursor)
}

struct Follower {
    app: AppState,
    visitor: Visitor,
    headers: HeaderMap,
    checked: Timestamp,
    job: JobId,
    /// Job and steps as they were read last.
    rows: Option<(JobRow, Vec<StepRow>)>,
    /// When they are read again.
    due: Instant,
    /// Says that log files grow.
    grown: Option<watch::Receiver<()>>,
    cursor: Cursor,
    logs: Logs,
    ready: VecDeque<Event>,
    over: bool,
    changes: watch::Receiver<u64>,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut follower| async move {
            let event = follower.next().await?;
            Some((Ok(event), follower))
        })
    }

    /// The next event; none: nothing more will come, or the connection is to be made anew.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.over || self.app.stop.is_cancelled() || !self.allowed().await {
                return None;
            }
            if self.look().await.is_err() {
                // Said in the log where it was made; the client comes again with its place.
                return None;
            }
            if self.ready.is_empty() {
                self.wait().await;
            }
        }
    }

    async fn wait(&mut self) {
        let stop = self.app.stop.clone();
        loop {
            let grown = async {
                match &mut self.grown {
                    Some(grown) => grown.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(self.due) => return,
                changed = self.changes.changed() => {
                    self.due = self.due.min(Instant::now() + PAUSE);
                    if changed.is_err() {
                        // The store is gone, and with it what could be waited for.
                        return tokio::time::sleep_until(self.due).await;
                    }
                }
                told = grown => {
                    if told.is_ok() {
                        return;
                    }
                    self.grown = None;
                }
            }
        }
    }

    /// Rights are not for ever: who is deactivated or logged out stops seeing.
    async fn allowed(&mut self) -> bool {
        let now = self.app.now();
        if now.as_second() - self.checked.as_second() < RIGHTS_SECONDS {
            return true;
        }
        self.checked = now;
        let Ok(Some(visitor)) = guard::identify_again(&self.app, &self.visitor, &self.headers).await else {
            return false;
        };
        let id = self.job.to_string();
        access::job(&self.app, &visitor, &id, Action::ReadPipeline).await.is_ok()
    }

    /// Makes the events that are due.
    async fn look(&mut self) -> Answer<()> {
        let (job, steps) = match self.rows.take() {
            Some(rows) if Instant::now() < self.due => rows,
            _ => self.read().await?,
        };
        let made = self.make(&job, &steps).await;
        self.rows = Some((job, steps));
        made
    }

    async fn read(&mut self) -> Answer<(JobRow, Vec<StepRow>)> {
        // Marked as seen before looking: a change during the look makes the next one due.
        self.changes.mark_unchanged();
        let id = self.job;
        let rows = self.app.store.read(move |view| Ok((jobs::get(view, id)?, steps::of_job(view, id)?))).await?;
        if self.grown.is_none() {
            self.grown = self.app.growth.follow(&self.app.logs_of(id));
        }
        self.due = Instant::now() + if self.grown.is_some() { RARE_LOOK } else { LOOK };
        self.state(&rows.0, &rows.1);
        Ok(rows)
    }

    async fn make(&mut self, job: &JobRow, steps: &[StepRow]) -> Answer<()> {
        let mut whole = true;
        if job.logs_expired_at.is_none() && self.logs != Logs::None {
            for step in steps {
                whole &= self.log(step).await?;
                if self.ready.len() >= BATCH {
                    return Ok(());
                }
            }
        }
        if job.status.is_terminal() && whole {
            self.over = true;
            self.push("end", &json!({ "status": job.status, "reason": job.reason }));
        }
        Ok(())
    }

    fn state(&mut self, job: &JobRow, steps: &[StepRow]) {
        let mut state = json!(job_json::job(job));
        state["steps"] = json!(job_json::steps(steps));
        let digest = Sha256::digest(state.to_string().as_bytes());
        let digest = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]).max(1);
        if digest != self.cursor.state {
            self.cursor.state = digest;
            self.push("state", &state);
        }
    }

    /// Makes events of what a stream has beyond the cursor. True: the stream is whole and was sent.
    async fn log(&mut self, step: &StepRow) -> Answer<bool> {
        if step.reused_from.is_some() {
            // Another job's log: a follower of this one has not missed it.
            return Ok(true);
        }
        let key = (step.seq, step.attempt);
        let Some(mut at) = self.cursor.at(key) else { return Ok(true) };
        let ended = step.status.is_terminal();
        let file = streams::file(&self.app, step)?;
        let length = streams::length(&file).await?;
        if at < length && self.logs == Logs::Offsets {
            let event = json!({ "step": step.seq, "attempt": step.attempt, "offset": at, "length": length - at });
            at = length;
            self.cursor.sent.insert(key, at);
            self.push("log", &event);
        }
        while at < length && self.ready.len() < BATCH {
            let most = usize::try_from(length - at).unwrap_or(CHUNK).min(CHUNK);
            let mut bytes = streams::read(&file, at, most).await?;
            if bytes.is_empty() {
                break;
            }
            let last = ended && at + bytes.len() as u64 >= length;
            let text = text_of(&mut bytes, last);
            if bytes.is_empty() {
                // Half a character; the other half comes.
                return Ok(false);
            }
            let size = bytes.len() as u64;
            let mut event = json!({ "step": step.seq, "attempt": step.attempt, "offset": at, "length": size });
            match text {
                Some(text) => event["text"] = json!(text),
                None => event["base64"] = json!(STANDARD.encode(&bytes)),
            }
            at += size;
            self.cursor.sent.insert(key, at);
            self.push("log", &event);
        }
        if ended && at >= length {
            self.cursor.finish(key);
            return Ok(true);
        }
        Ok(false)
    }

    fn push(&mut self, kind: &str, data: &serde_json::Value) {
        let event = Event::default().event(kind).id(self.cursor.to_string()).data(data.to_string());
        self.ready.push_back(event);
    }
}

/// The bytes as text where they are UTF-8. A character that is cut at the end is left for the next
/// event, except in the `last`.
fn text_of(bytes: &mut Vec<u8>, last: bool) -> Option<String> {
    if let Err(error) = std::str::from_utf8(bytes)
        && error.error_len().is_none()
        && !last
    {
        bytes.truncate(error.valid_up_to());
    }
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_character_waits_and_bytes_that_are_no_text_go_as_they_are() {
        let mut bytes = "aé".as_bytes()[..2].to_vec();
        assert_eq!(text_of(&mut bytes, false), Some("a".to_owned()));
        assert_eq!(bytes, b"a");
        let mut bytes = "aé".as_bytes()[..2].to_vec();
        assert_eq!(text_of(&mut bytes, true), None);
        assert_eq!(bytes.len(), 2);
        let mut bytes = vec![b'a', 0xff, b'b'];
        assert_eq!(text_of(&mut bytes, false), None);
        assert_eq!(bytes.len(), 3);
    }
}
