use proptest::prelude::*;

use super::*;

fn schedule(fields: &str, zone: &str) -> Schedule {
    Schedule::parse(fields, Some(zone)).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Every tick in (from, to], walked forwards.
fn ticks(schedule: &Schedule, from: &str, to: &str) -> Vec<String> {
    let (mut now, end) = (at(from), at(to));
    let mut found = Vec::new();
    while let Some(tick) = schedule.next(now).filter(|t| *t <= end) {
        found.push(tick.to_string());
        now = tick;
    }
    found
}

#[test]
fn what_is_not_five_fields_in_a_known_zone_is_refused() {
    for wrong in ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "@daily", "a b c d e", "* * 32 * *"] {
        assert!(matches!(Schedule::parse(wrong, None), Err(BadSchedule::Fields { .. })), "{wrong}");
    }
    for zone in ["Middle/Earth", "../../etc/passwd", ""] {
        assert_eq!(Schedule::parse("0 0 * * *", Some(zone)).unwrap_err(), BadSchedule::Zone(zone.to_owned()));
    }
}

#[test]
fn utc_is_the_zone_where_none_is_named() {
    let nightly = Schedule::parse("30 2 * * *", None).unwrap();
    assert_eq!(nightly.next(at("2026-03-29T00:00:00Z")), Some(at("2026-03-29T02:30:00Z")));
    assert_eq!(nightly.next(at("2026-03-29T02:30:00Z")), Some(at("2026-03-30T02:30:00Z")));
}

#[test]
fn a_time_that_the_clock_jumps_over_ticks_once_at_the_end_of_the_jump() {
    // Berlin, 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC.
    let day = ("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z");
    for (fields, expected) in [
        ("30 2 * * *", vec!["2026-03-29T01:00:00Z"]),
        ("0,30 2 * * *", vec!["2026-03-29T01:00:00Z"]),
        ("0 3 * * *", vec!["2026-03-29T01:00:00Z"]),
        ("30 1,2,3 * * *", vec!["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]),
        ("30 * * * 0", vec!["2026-03-28T23:30:00Z", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"]),
    ] {
        let found = ticks(&schedule(fields, "Europe/Berlin"), day.0, day.1);
        assert_eq!(found[..expected.len()], expected, "{fields}");
    }
}

#[test]
fn a_time_that_happens_twice_ticks_once_and_an_interval_follows_real_time() {
    // Berlin, 25 October 2026: 03:00 becomes 02:00 at 01:00 UTC.
    let night = ("2026-10-24T23:30:00Z", "2026-10-25T02:15:00Z");
    for (fields, expected) in [
        ("30 2 * * *", vec!["2026-10-25T00:30:00Z"]),
        ("0,30 2 * * *", vec!["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"]),
        ("*/30 2-3 * * *", vec!["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z"]),
        ("0 */2 * * *", vec!["2026-10-25T00:00:00Z"]),
        ("0 * * * *", vec!["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]),
    ] {
        assert_eq!(ticks(&schedule(fields, "Europe/Berlin"), night.0, night.1), expected, "{fields}");
    }
}

#[test]
fn shifts_in_other_zones_tick_once_too() {
    // New York jumps at 07:00 UTC on 8 March 2026 and falls back at 06:00 UTC on 1 November.
    let early = schedule("30 2 * * *", "America/New_York");
    assert_eq!(ticks(&early, "2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z"), ["2026-03-08T07:00:00Z"]);
    let twice = schedule("30 1 * * *", "America/New_York");
    assert_eq!(ticks(&twice, "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"), ["2026-11-01T05:30:00Z"]);
    // Lord Howe shifts by half an hour; Samoa left out the whole of 30 December 2011.
    let howe = schedule("45 1 * * *", "Australia/Lord_Howe");
    assert_eq!(ticks(&howe, "2026-04-04T00:00:00Z", "2026-04-05T00:00:00Z"), ["2026-04-04T14:45:00Z"]);
    let samoa = schedule("0 12 30 12 *", "Pacific/Apia");
    assert_eq!(samoa.next(at("2011-12-29T00:00:00Z")), Some(at("2011-12-30T10:00:00Z")));
}

#[test]
fn ticks_missed_while_down_run_once() {
    let hourly = schedule("0 * * * *", "UTC");
    let back = at("2026-05-04T09:20:00Z");
    let tick = hourly.due(at("2026-05-01T09:00:00Z"), back).unwrap();
    assert_eq!(tick, at("2026-05-04T09:00:00Z"));
    assert_eq!(hourly.due(tick, back), None);
}

#[test]
fn a_clock_set_back_runs_no_slot_twice() {
    let often = schedule("*/10 * * * *", "UTC");
    let ran = often.due(at("2026-05-04T09:00:00Z"), at("2026-05-04T10:01:00Z")).unwrap();
    for now in ["2026-05-04T09:01:00Z", "2026-05-04T09:50:00Z", "2026-05-04T10:05:00Z"] {
        assert_eq!(often.due(ran, at(now)), None, "{now}");
    }
    assert_eq!(often.due(ran, at("2026-05-04T10:10:00Z")), Some(at("2026-05-04T10:10:00Z")));
}

#[test]
fn a_day_that_never_comes_never_ticks() {
    let never = schedule("0 0 30 2 *", "Europe/Berlin");
    assert_eq!(never.next(at("2026-01-01T00:00:00Z")), None);
    assert_eq!(never.due(at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z")), None);
}

#[test]
fn a_tick_has_one_key() {
    let id = crate::model::PipelineId::from_uuid(uuid::Uuid::nil());
    let key = dedupe_key(id, 2, at("2026-05-04T10:10:00Z"));
    assert_eq!(key, "cron:00000000-0000-0000-0000-000000000000:2:2026-05-04T10:10:00Z");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_a_schedule_panic(fields in "[-0-9*/,LW#? a-z]{0,20}", zone in "\\PC{0,12}") {
        let _read = Schedule::parse(&fields, Some(&zone));
    }

    /// Waking up at any moments runs each tick at most once, and the last one always.
    #[test]
    fn each_tick_runs_at_most_once(
        fields in proptest::sample::select(vec!["30 2 * * *", "0 * * * *", "*/15 1-3 * * *", "0,30 2 * * *"]),
        autumn in any::<bool>(),
        mut minutes in proptest::collection::vec(0i64..2880, 1..40),
    ) {
        let schedule = schedule(fields, "Europe/Berlin");
        let start = at(if autumn { "2026-10-24T12:00:00Z" } else { "2026-03-28T12:00:00Z" });
        minutes.sort_unstable();
        let (mut last, mut ran) = (start, Vec::new());
        for minute in &minutes {
            let now = start + SignedDuration::from_mins(*minute);
            if let Some(tick) = schedule.due(last, now) {
                prop_assert!(tick <= now && tick > last);
                ran.push(tick);
                last = tick;
            }
            prop_assert_eq!(schedule.due(last, now), None);
            prop_assert!(schedule.next(last).is_none_or(|next| next > now));
        }
        prop_assert!(ran.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
