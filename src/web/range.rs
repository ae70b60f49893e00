//! Range requests: one range of bytes of something with a known length.
use std::ops::Range;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: no `Range`, one in a unit that nobody knows, or several at once.
    Whole,
    /// These bytes, at least one.
    Part(Range<u64>),
    /// A range that lies outside, or is none.
    Outside,
}

impl Wanted {
    /// The bytes to send of a thing of this length.
    pub(super) fn bytes(&self, length: u64) -> Range<u64> {
        match self {
            Self::Whole => 0..length,
            Self::Part(part) => part.clone(),
            Self::Outside => 0..0,
        }
    }
}

/// Reads `Range: bytes=…` against a length. What is malformed is refused too: a client that asked for
/// a part must not take the whole for it.
pub(super) fn wanted(headers: &HeaderMap, length: u64) -> Wanted {
    let mut ranges = headers.get_all(header::RANGE).iter();
    let (Some(value), None) = (ranges.next(), ranges.next()) else { return Wanted::Whole };
    let Some(spec) = value.to_str().ok().and_then(|text| text.strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    if spec.contains(',') {
        return Wanted::Whole;
    }
    parse(spec.trim(), length).map_or(Wanted::Outside, Wanted::Part)
}

fn parse(spec: &str, length: u64) -> Option<Range<u64>> {
    let (first, last) = spec.split_once('-')?;
    let range = match (first, last) {
        ("", suffix) => length.saturating_sub(number(suffix)?)..length,
        (first, "") => number(first)?..length,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(length)
        }
    };
    (range.start < range.end).then_some(range)
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // More digits than a u64 holds lie behind every end.
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The answer for a range: `body` has its bytes.
pub(super) fn respond(wanted: Wanted, length: u64, kind: &str, body: Body) -> Response {
    let kind = HeaderValue::try_from(kind).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let range = wanted.bytes(length);
    let status = match wanted {
        Wanted::Outside => {
            let about = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, about).into_response();
        }
        Wanted::Whole => StatusCode::OK,
        Wanted::Part(_) => StatusCode::PARTIAL_CONTENT,
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{length}", range.start, range.end - 1);
        headers.insert(header::CONTENT_RANGE, HeaderValue::try_from(text).expect("digits are a header value"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ask(text: &str, length: u64) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_str(text).unwrap());
        wanted(&headers, length)
    }

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        assert_eq!(wanted(&HeaderMap::new(), 10), Wanted::Whole);
        assert_eq!(ask("bytes=0-3", 10), Wanted::Part(0..4));
        assert_eq!(ask("bytes=4-", 10), Wanted::Part(4..10));
        assert_eq!(ask("bytes=-3", 10), Wanted::Part(7..10));
        assert_eq!(ask("bytes=-30", 10), Wanted::Part(0..10));
        assert_eq!(ask("bytes=8-99", 10), Wanted::Part(8..10));
        assert_eq!(ask("bytes=0-1,4-5", 10), Wanted::Whole);
        assert_eq!(ask("lines=1-2", 10), Wanted::Whole);
        for outside in ["bytes=10-", "bytes=-0", "bytes=5-4", "bytes=x-", "bytes=", "bytes=99999999999999999999-"] {
            assert_eq!(ask(outside, 10), Wanted::Outside, "{outside}");
        }
        assert_eq!(ask("bytes=0-", 0), Wanted::Outside);
    }

    proptest! {
        #[test]
        fn a_part_always_lies_inside(text in "bytes=[0-9,x-]{0,24}", length in 0u64..1000) {
            if let Wanted::Part(range) = ask(&text, length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }
}
