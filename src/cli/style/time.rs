//! Times and sizes for people.
use jiff::Timestamp;

/// How long ago, or how long still.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    match seconds {
        // Clocks of two machines differ a little.
        -5..5 => "now".to_owned(),
        ..-5 => format!("in {}", coarse(-seconds)),
        5..2_592_000 => format!("{} ago", coarse(seconds)),
        _ => at.strftime("%Y-%m-%d").to_string(),
    }
}

/// To the second.
pub fn exact(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// How long something took.
pub fn took(from: Timestamp, to: Timestamp) -> String {
    let millis = (to.as_millisecond() - from.as_millisecond()).max(0);
    let seconds = millis / 1000;
    match seconds {
        ..60 => format!("{seconds}.{} s", millis % 1000 / 100),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Bytes in binary units.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

fn coarse(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_read_as_people_say_them() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        assert_eq!([ago(at(0), at(2)), ago(at(0), at(59)), ago(at(0), at(7200))], ["now", "59 s ago", "2 h ago"]);
        assert_eq!([ago(at(60), at(0)), ago(at(3), at(0))], ["in 1 min", "now"]);
        assert_eq!(ago(at(0), at(3_000_000)), "2027-01-15");
        assert_eq!([took(at(0), at(12)), took(at(5), at(0))], ["12.0 s", "0.0 s"]);
        assert_eq!([took(at(0), at(72)), took(at(0), at(3660))], ["1 min 12 s", "1 h 01 min"]);
        assert_eq!([size(0), size(1536), size(5 << 30)], ["0 B", "1.5 KiB", "5.0 GiB"]);
    }
}
