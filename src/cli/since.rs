//! Times as people type them: `24h`, `7d`, a day, or an exact time.
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::platform::{Clock as _, SystemClock};

/// Reads a time for `--since`.
pub(super) fn since(text: &str) -> Result<Timestamp, String> {
    before(text, SystemClock.now())
}

fn before(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let wrong = || "write a span like 30min, 24h or 7d, a day like 2027-01-15, or 2027-01-15T08:00:00Z".to_owned();
    if let Some(seconds) = span(text) {
        return Timestamp::from_second(now.as_second() - seconds).map_err(|_| wrong());
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let day: Date = text.parse().map_err(|_| wrong())?;
    day.to_zoned(TimeZone::UTC).map(|day| day.timestamp()).map_err(|_| wrong())
}

/// Seconds of a span; a century is long enough.
fn span(text: &str) -> Option<i64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let number: i64 = text[..end].parse().ok().filter(|number| (0..=3_000_000_000).contains(number))?;
    let unit = match &text[end..] {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    number.checked_mul(unit).filter(|seconds| *seconds <= 3_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_days_and_times_are_read() {
        let now: Timestamp = "2027-01-15T08:00:00Z".parse().unwrap();
        let read = |text: &str| before(text, now).unwrap().to_string();
        assert_eq!(read("30min"), "2027-01-15T07:30:00Z");
        assert_eq!(read("7d"), "2027-01-08T08:00:00Z");
        assert_eq!(read("2027-01-01"), "2027-01-01T00:00:00Z");
        assert_eq!(read("2027-01-01T10:00:00+02:00"), "2027-01-01T08:00:00Z");
        for wrong in ["", "h", "1", "yesterday", "-1d", "99999999999999999999d", "9999999999w", "1mo"] {
            assert!(before(wrong, now).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,20}|[0-9]{1,20}[smhdw]") {
            let _read = before(&text, Timestamp::UNIX_EPOCH);
        }
    }
}
