//! Searching the logs of a job: a part at a time, each bounded in bytes and in lines found.
use axum::http::StatusCode;

use crate::logs::{Hit, Limits, LogError, Query, Spot, search};
use crate::store::StepRow;
use crate::web::blocking;
use crate::web::error::{Answer, WebError};
use crate::web::state::AppState;
use crate::web::streams;

/// Bytes read for one answer.
const BYTES: u64 = 256 << 20;
/// No log has more lines or bytes; other numbers are none of ours.
const MOST: u64 = 1 << 60;

/// A line that was found, and the step it is of.
pub(in crate::web) struct StepHit {
    pub(in crate::web) seq: u32,
    pub(in crate::web) attempt: u32,
    pub(in crate::web) step: String,
    pub(in crate::web) hit: Hit,
}

/// A part of a search.
pub(in crate::web) struct Searched {
    pub(in crate::web) hits: Vec<StepHit>,
    /// Where to go on; none: everything was searched.
    pub(in crate::web) next: Option<String>,
}

/// Where a search goes on: a stream, and a line of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct At {
    stream: (u32, u32),
    spot: Spot,
}

impl At {
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.splitn(4, '.').map(|part| part.parse::<u64>().ok().filter(|n| *n < MOST));
        let mut next = || numbers.next().flatten();
        let (step, attempt, offset, line) = (next()?, next()?, next()?, next()?);
        let stream = (u32::try_from(step).ok()?, u32::try_from(attempt).ok()?);
        Some(Self { stream, spot: Spot { offset, line: line.max(1) } })
    }

    fn text(self) -> String {
        format!("{}.{}.{}.{}", self.stream.0, self.stream.1, self.spot.offset, self.spot.line)
    }
}

/// Searches the logs of these steps, which are in order, from `cursor` on.
pub(in crate::web) async fn find(
    app: &AppState,
    steps: Vec<StepRow>,
    query: Query,
    cursor: Option<&str>,
    lines: usize,
) -> Answer<Searched> {
    let from = match cursor {
        Some(text) => Some(At::parse(text).ok_or_else(|| {
            WebError::bad_request("the cursor is none of ours; leave it out to search from the beginning")
        })?),
        None => None,
    };
    let permit = app.searches.clone().try_acquire_owned().map_err(|_| {
        let detail = "Several logs are being searched already; try again in a moment.";
        WebError::new(StatusCode::SERVICE_UNAVAILABLE, "Too many searches", detail).retry_after(2)
    })?;
    let mut streams = Vec::with_capacity(steps.len());
    for step in steps {
        let stream = (step.seq, step.attempt);
        if from.is_none_or(|from| stream >= from.stream) {
            streams.push((stream, streams::file(app, &step)?, step.name));
        }
    }
    blocking::run(move || {
        let _permit = permit;
        let mut searched = Searched { hits: Vec::new(), next: None };
        let mut left = BYTES;
        for (stream, file, name) in streams {
            let spot = from.filter(|from| from.stream == stream).map_or(Spot::START, |from| from.spot);
            if left == 0 || searched.hits.len() >= lines {
                searched.next = Some(At { stream, spot }.text());
                break;
            }
            let limits = Limits { lines: lines - searched.hits.len(), bytes: left };
            let found = search(&file, &query, spot, limits)?;
            left = left.saturating_sub(found.bytes);
            let hits = found.hits.into_iter();
            searched.hits.extend(hits.map(|hit| StepHit { seq: stream.0, attempt: stream.1, step: name.clone(), hit }));
            if let Some(spot) = found.next {
                searched.next = Some(At { stream, spot }.text());
                break;
            }
        }
        Ok::<_, LogError>(searched)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_other_texts_are_none() {
        let at = At { stream: (3, 1), spot: Spot { offset: 120, line: 7 } };
        assert_eq!(At::parse(&at.text()), Some(at));
        for wrong in ["", "1.1.1", "1.1.1.1.1", "x.1.1.1", "1.1.-1.1", "1.1.99999999999999999999.1", "9999999999.1.1.1"]
        {
            assert_eq!(At::parse(wrong), None, "{wrong}");
        }
    }
}
