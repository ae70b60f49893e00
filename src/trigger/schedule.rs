//! When a schedule ticks: five cron fields in a time zone. Pure.
use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, Direction};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

/// Wider than any shift of a clock, so that a search started this far off misses nothing.
const WIDEST_SHIFT: SignedDuration = SignedDuration::from_hours(26);

/// A schedule that can be asked for its ticks.
///
/// With a `*` in the hour field it is an interval and follows real time through a change of clocks. With named
/// hours it follows the wall clock: a time that happens twice ticks once, the first time; a time that is jumped
/// over ticks at the end of the jump.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
    interval: bool,
}

/// Why a schedule cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    /// The fields are wrong.
    #[error("the schedule '{schedule}' cannot be read: {reason} (five fields: minute hour day month weekday)")]
    Fields {
        /// As written.
        schedule: String,
        /// What is wrong.
        reason: String,
    },
    /// The zone is unknown.
    #[error("the time zone '{0}' is unknown: use a name of the IANA database such as Europe/Berlin, or UTC")]
    Zone(String),
}

impl Schedule {
    /// Reads five fields, and a zone of the IANA database (UTC where absent).
    pub fn parse(schedule: &str, timezone: Option<&str>) -> Result<Self, BadSchedule> {
        let wrong = |reason: String| BadSchedule::Fields { schedule: schedule.chars().take(100).collect(), reason };
        let fields: Vec<&str> = schedule.split_whitespace().collect();
        let [_, hour, ..] = fields[..] else { return Err(wrong("it has too few fields".to_owned())) };
        if fields.len() != 5 {
            return Err(wrong(format!("it has {} fields", fields.len())));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(&fields.join(" ")).map_err(|e| wrong(e.to_string()))?;
        let zone = match timezone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| BadSchedule::Zone(name.chars().take(100).collect()))?,
        };
        Ok(Self { cron, zone, interval: matches!(hour, "*" | "*/1") })
    }

    /// The first tick after `after`; none if there is none, as on 30 February.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        if self.interval {
            let next = self.cron.find_next_occurrence(&after.to_zoned(self.zone.clone()), false).ok()?;
            return Some(next.timestamp());
        }
        let from = wall(self.zone.to_datetime(after).checked_sub(WIDEST_SHIFT).ok()?)?;
        // Slots come in the order of the wall clock, and their instants in the same order.
        let slots = self.cron.iter_from(from, Direction::Forward);
        slots.map_while(|slot| self.instant(slot.datetime())).find(|tick| *tick > after)
    }

    /// The latest tick at or before `now`.
    pub fn latest(&self, now: Timestamp) -> Option<Timestamp> {
        if self.interval {
            let last = self.cron.find_previous_occurrence(&now.to_zoned(self.zone.clone()), true).ok()?;
            return Some(last.timestamp());
        }
        let from = wall(self.zone.to_datetime(now).checked_add(WIDEST_SHIFT).ok()?)?;
        let slots = self.cron.iter_from(from, Direction::Backward);
        slots.map_while(|slot| self.instant(slot.datetime())).find(|tick| *tick <= now)
    }

    /// The tick that is to run now: the latest one, if it came after the one that ran last. Ticks that were
    /// missed run as this one; a clock that was set back runs nothing twice.
    pub fn due(&self, last_run: Timestamp, now: Timestamp) -> Option<Timestamp> {
        self.latest(now).filter(|tick| *tick > last_run)
    }

    /// When a time of the wall clock happens: at the first of two, or where the clock lands after a jump.
    fn instant(&self, slot: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(slot).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(slot).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(slot).ok(),
            AmbiguousOffset::Gap { after, .. } => {
                let before_jump = after.to_timestamp(slot).ok()?;
                self.zone.following(before_jump).next().map(|jump| jump.timestamp())
            }
        }
    }
}

/// A time of the wall clock on a clock that never shifts.
fn wall(time: DateTime) -> Option<Zoned> {
    time.to_zoned(TimeZone::UTC).ok()
}

/// The dedupe key of a tick: a second job for it cannot be made.
pub fn dedupe_key(pipeline: crate::model::PipelineId, rule: usize, tick: Timestamp) -> String {
    format!("cron:{pipeline}:{rule}:{tick}")
}

#[cfg(test)]
mod tests;
