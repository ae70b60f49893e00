//! Times: relative in lists, exact in titles.
use jiff::Timestamp;

/// A moment, three ways.
#[derive(Debug, Clone)]
pub(in crate::web) struct When {
    /// For machines.
    pub(in crate::web) iso: String,
    /// For a title.
    pub(in crate::web) exact: String,
    /// For reading.
    pub(in crate::web) ago: String,
}

/// A moment as seen from `now`.
pub(in crate::web) fn when(at: Timestamp, now: Timestamp) -> When {
    When {
        iso: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        exact: at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        ago: ago(at, now),
    }
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    match seconds {
        ..0 => format!("in {}", coarse(-seconds)),
        0..5 => "now".to_owned(),
        5..2_592_000 => format!("{} ago", coarse(seconds)),
        _ => at.strftime("%Y-%m-%d").to_string(),
    }
}

fn coarse(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How long something took.
pub(in crate::web) fn took(from: Timestamp, to: Timestamp) -> String {
    lasted((to.as_millisecond() - from.as_millisecond()).max(0))
}

/// Milliseconds as people say them.
pub(in crate::web) fn lasted(millis: i64) -> String {
    let seconds = millis / 1000;
    match seconds {
        ..60 => format!("{}.{} s", seconds, millis % 1000 / 100),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_say_them() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        assert_eq!(when(at(0), at(2)).ago, "now");
        assert_eq!(when(at(0), at(59)).ago, "59 s ago");
        assert_eq!(when(at(0), at(7200)).ago, "2 h ago");
        assert_eq!(when(at(60), at(0)).ago, "in 1 min");
        assert_eq!(when(at(0), at(3_000_000)).ago, "2027-01-15");
        assert_eq!(took(at(0), at(12)), "12.0 s");
        assert_eq!(took(at(0), at(72)), "1 min 12 s");
        assert_eq!(took(at(5), at(0)), "0.0 s");
        assert_eq!(took(at(0), at(3660)), "1 h 01 min");
    }
}
