//! Looking for something in the whole of a stream, a part at a time.
use std::ops::ControlFlow;

use super::query::Query;
use super::source::{LogFile, Source};
use super::styled::plain;
use super::walk::{Spot, walk};
use super::{LogError, StreamFile};

/// Bytes of a line that are given; all of it is searched, up to 256 KiB.
const SHOWN: usize = 1000;

/// How far one search goes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Lines found.
    pub lines: usize,
    /// Bytes read.
    pub bytes: u64,
}

/// A line in which it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Where.
    pub spot: Spot,
    /// The line's text, cut at 1,000 bytes.
    pub text: String,
    /// The line before it.
    pub before: Option<String>,
    /// The line after it.
    pub after: Option<String>,
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// In order.
    pub hits: Vec<Hit>,
    /// Where to search on; none: the stream was searched to its end.
    pub next: Option<Spot>,
    /// Bytes that were read.
    pub bytes: u64,
}

/// Searches a stream from a spot on: what a reader sees of each line, without its colours.
pub fn search(file: &StreamFile, query: &Query, from: Spot, limits: Limits) -> Result<Found, LogError> {
    match LogFile::open(file)? {
        Some(log) => search_in(&log, query, from, limits),
        None => Ok(Found::default()),
    }
}

fn search_in(log: &impl Source, query: &Query, from: Spot, limits: Limits) -> Result<Found, LogError> {
    let length = log.len()?;
    let mut hits: Vec<Hit> = Vec::new();
    let mut before: Option<String> = None;
    let mut wants_after = false;
    let stop = from.offset.saturating_add(limits.bytes);
    let (broken, _) = walk(log, from, length, |spot, line| {
        if spot.offset >= stop || (hits.len() >= limits.lines && !wants_after) {
            return ControlFlow::Break(spot);
        }
        let text = seen(line);
        let short = text[..text.floor_char_boundary(SHOWN)].to_owned();
        if wants_after && let Some(last) = hits.last_mut() {
            last.after = Some(short.clone());
            wants_after = false;
        }
        if hits.len() >= limits.lines {
            return ControlFlow::Break(spot);
        }
        if query.is_in(&text) {
            hits.push(Hit { spot, text: short.clone(), before: before.take(), after: None });
            wants_after = true;
        }
        before = Some(short);
        ControlFlow::Continue(())
    })?;
    let bytes = broken.map_or(length, |spot| spot.offset).saturating_sub(from.offset);
    Ok(Found { hits, next: broken, bytes })
}

/// What a reader sees of a line.
pub(super) fn seen(line: &[u8]) -> String {
    let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
    let start = memchr::memrchr(b'\r', &line[..end]).map_or(0, |at| at + 1);
    plain(&line[start..end])
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Job;
    use super::super::query::Meaning;
    use super::super::source::Made;
    use super::*;

    fn query(text: &str) -> Query {
        Query::new(text, Meaning::default()).unwrap()
    }

    #[test]
    fn lines_are_found_with_what_stands_around_them() {
        let job = Job::new();
        job.append_log_only("1.1", "one\n\x1b[1mer\x1b[0mror: x\nthree\n10%\rerror\r\nlast error");
        let limits = Limits { lines: 10, bytes: 1 << 20 };
        let found = search(&job.stream("1.1"), &query("ERROR"), Spot::START, limits).unwrap();
        let texts: Vec<(u64, &str)> = found.hits.iter().map(|hit| (hit.spot.line, hit.text.as_str())).collect();
        assert_eq!(texts, [(2, "error: x"), (4, "error"), (5, "last error")]);
        assert_eq!(found.hits[0].before.as_deref(), Some("one"));
        assert_eq!(found.hits[0].after.as_deref(), Some("three"));
        assert_eq!((found.hits[2].after.as_deref(), found.next), (None, None));
        let none = search(&job.stream("2.1"), &query("x"), Spot::START, limits).unwrap();
        assert_eq!(none, Found::default());
    }

    #[test]
    fn a_search_goes_on_where_it_stopped_and_finds_everything_once() {
        let log = Made::new(5000);
        let limits = Limits { lines: 7, bytes: 100_000 };
        let (mut spot, mut lines) = (Some(Spot::START), Vec::new());
        while let Some(from) = spot {
            let found = search_in(&log, &query("99"), from, limits).unwrap();
            assert!(found.hits.len() <= 7 && found.bytes <= 100_000 + Made::LINE);
            lines.extend(found.hits.iter().map(|hit| hit.spot.line));
            spot = found.next;
        }
        let expected: Vec<u64> = (1..=5000).filter(|n: &u64| n.to_string().contains("99")).collect();
        assert_eq!(lines, expected);
    }
}
