//! Schedules and time zones.
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;

use crate::config_repo::suggest::Suggest;

/// What is wrong with a schedule of five fields.
pub(super) fn bad_schedule(schedule: &str) -> Option<String> {
    let fields = schedule.split_whitespace().count();
    if fields != 5 || schedule.len() > 200 {
        return Some(format!("it has {fields} fields, not 5"));
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    match parser.parse(schedule) {
        Err(error) => Some(error.to_string()),
        Ok(_) if never_happens(schedule) => Some("no month has such a day".to_owned()),
        Ok(_) => None,
    }
}

/// A day of the month that none of the months has: the search for the next time would find none.
fn never_happens(schedule: &str) -> bool {
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    let [_, _, day, month, weekday] = fields[..] else { return false };
    let numbers = |field: &str| field.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>();
    let (Ok(days), Ok(months)) = (numbers(day), numbers(month)) else { return false };
    let longest = months.iter().map(|month| match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    });
    weekday == "*" && days.iter().min() > longest.max().as_ref()
}

/// How to write a time zone that is not in the database; none: it is known.
pub(super) fn bad_zone(zone: &str, suggest: &mut Suggest) -> Option<String> {
    let looks_right = zone.len() <= 64 && zone.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+-/".contains(&b));
    if looks_right && TimeZone::get(zone).is_ok() {
        return None;
    }
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    Some(match suggest.nearest(zone, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean '{near}'?"),
        None => "write a zone such as Europe/Vienna, or leave it out for UTC".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_fields_that_can_happen_pass() {
        for good in ["0 3 * * *", "*/15 * * * *", "0 9 * * MON-FRI", "0 0 29 2 *", "0 0 31 1,2 *", "0 0 30 2 MON"] {
            assert_eq!(bad_schedule(good), None, "{good}");
        }
        for bad in [
            "",
            "@daily",
            "* * * *",
            "0 0 * * * *",
            "61 * * * *",
            "x * * * *",
            "0 0 30 2 *",
            "0 0 31 4,6 *",
            "0 24 * * *",
        ] {
            assert!(bad_schedule(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_mistyped_zone_finds_its_name() {
        let mut suggest = Suggest::default();
        assert_eq!(bad_zone("Europe/Vienna", &mut suggest), None);
        assert_eq!(bad_zone("UTC", &mut suggest), None);
        assert_eq!(bad_zone("Europe/Viena", &mut suggest).unwrap(), "did you mean 'Europe/Vienna'?");
        assert!(bad_zone("../../etc/passwd", &mut suggest).is_some());
    }
}
