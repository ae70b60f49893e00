//! What a bench came to: spreads, and goals with what was seen and what the machine itself can do.
use std::collections::BTreeMap;

use serde::Serialize;

use super::machine::Machine;
use super::spread::Spread;

/// One bench. Its JSON form only grows.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Its name.
    pub(super) bench: &'static str,
    /// The program's version.
    pub(super) version: &'static str,
    /// What it was asked to do.
    pub(super) size: BTreeMap<&'static str, u64>,
    /// Where it ran.
    pub(super) machine: Machine,
    /// The servers it had: nothing of their names is left.
    pub(super) servers: Vec<Used>,
    /// What was measured.
    pub(super) measures: Vec<Measure>,
    /// What was wanted.
    pub(super) goals: Vec<Goal>,
    /// What a reader should know.
    pub(super) notes: Vec<String>,
}

/// A server that was used, and is gone.
#[derive(Debug, Serialize)]
pub(super) struct Used {
    /// Its directory.
    pub(super) directory: String,
    /// What its containers, cgroups and sockets were named by.
    pub(super) instance: String,
}

/// Samples of one thing.
#[derive(Debug, Serialize)]
pub(super) struct Measure {
    /// Of what.
    pub(super) what: String,
    /// In what.
    pub(super) unit: &'static str,
    /// The samples.
    #[serde(flatten)]
    pub(super) spread: Spread,
}

/// What is compared with the goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Of {
    /// `ratio`: what was seen, in parts of what the machine itself gave in the same run.
    Ratio,
    /// `seen`, a count or a size that no load of the machine changes.
    Count,
    /// `seen`, a time or a rate: shown, and never the reason for a failure.
    Time,
}

/// Which side of the goal is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bound {
    AtMost,
    AtLeast,
}

/// A goal and how far it is.
#[derive(Debug, Serialize)]
pub(super) struct Goal {
    /// Of what.
    pub(super) what: String,
    /// In what.
    pub(super) unit: &'static str,
    /// What was measured.
    pub(super) seen: f64,
    /// What the machine itself gave for the same, in the same run.
    pub(super) limit: Option<f64>,
    /// `seen` in parts of `limit`.
    pub(super) ratio: Option<f64>,
    /// What is compared.
    pub(super) of: Of,
    /// In which direction.
    pub(super) bound: Bound,
    /// With what.
    pub(super) goal: f64,
    /// It is reached.
    pub(super) met: bool,
}

impl Goal {
    /// A goal for the ratio to the machine's own limit.
    pub(super) fn ratio(what: &str, unit: &'static str, seen: f64, limit: f64, bound: Bound, goal: f64) -> Self {
        Self::new(what, unit, seen, Some(limit), Of::Ratio, bound, goal)
    }

    /// A goal for a count or a size.
    pub(super) fn count(what: &str, unit: &'static str, seen: f64, bound: Bound, goal: f64) -> Self {
        Self::new(what, unit, seen, None, Of::Count, bound, goal)
    }

    /// A goal for a time or a rate, with what the machine itself gave.
    pub(super) fn time(what: &str, unit: &'static str, seen: f64, limit: Option<f64>, bound: Bound, goal: f64) -> Self {
        Self::new(what, unit, seen, limit, Of::Time, bound, goal)
    }

    fn new(what: &str, unit: &'static str, seen: f64, limit: Option<f64>, of: Of, bound: Bound, goal: f64) -> Self {
        let ratio = limit.filter(|limit| *limit > 0.0).map(|limit| seen / limit);
        let compared = if of == Of::Ratio { ratio.unwrap_or(f64::NAN) } else { seen };
        let met = match bound {
            Bound::AtMost => compared <= goal,
            Bound::AtLeast => compared >= goal,
        };
        Self { what: what.to_owned(), unit, seen, limit, ratio, of, bound, goal, met }
    }
}

impl Report {
    /// An empty report.
    pub(super) fn new(bench: &'static str, size: impl IntoIterator<Item = (&'static str, u64)>) -> Self {
        Self {
            bench,
            version: env!("CARGO_PKG_VERSION"),
            size: size.into_iter().collect(),
            machine: Machine::read(),
            servers: Vec::new(),
            measures: Vec::new(),
            goals: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds samples; their spread, where there are any.
    pub(super) fn measure(&mut self, what: &str, unit: &'static str, samples: Vec<f64>) -> Option<Spread> {
        let spread = Spread::of(samples)?;
        self.measures.push(Measure { what: what.to_owned(), unit, spread });
        Some(spread)
    }

    /// What a load of the machine can't excuse is met.
    pub(super) fn passes(&self) -> bool {
        self.goals.iter().all(|goal| goal.met || goal.of == Of::Time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(goal: Goal) -> Report {
        Report { goals: vec![goal], ..Report::new("latency", [("steps", 1)]) }
    }

    #[test]
    fn a_slow_machine_alone_fails_no_check() {
        let slow = report(Goal::time("start", "ms", 5000.0, Some(1.0), Bound::AtMost, 300.0));
        assert!(!slow.goals[0].met && slow.passes());
        let twice = report(Goal::ratio("a further step", "ms", 50.0, 25.0, Bound::AtMost, 2.0));
        assert!(twice.goals[0].met && twice.passes());
        assert!(!report(Goal::ratio("a further step", "ms", 51.0, 25.0, Bound::AtMost, 2.0)).passes());
        assert!(!report(Goal::ratio("a further step", "ms", 51.0, 0.0, Bound::AtMost, 2.0)).passes());
        assert!(!report(Goal::count("gaps", "lines", 1.0, Bound::AtMost, 0.0)).passes());
        assert!(report(Goal::ratio("log", "MB/s", 250.0, 500.0, Bound::AtLeast, 0.5)).passes());
    }

    #[test]
    fn the_json_form_is_pinned() {
        let mut report = report(Goal::ratio("a further step", "ms", 30.0, 10.0, Bound::AtMost, 2.0));
        report.measure("queue", "ms", vec![1.0]);
        let mut json = serde_json::to_value(&report).unwrap();
        json["machine"] = serde_json::json!({});
        json["version"] = serde_json::json!("v");
        let want = r#"{"bench":"latency","version":"v","size":{"steps":1},"machine":{},"servers":[],"measures":[{"what":"queue","unit":"ms","n":1,"min":1.0,"p50":1.0,"p95":1.0,"p99":1.0,"max":1.0}],"goals":[{"what":"a further step","unit":"ms","seen":30.0,"limit":10.0,"ratio":3.0,"of":"ratio","bound":"at_most","goal":2.0,"met":false}],"notes":[]}"#;
        assert_eq!(json, serde_json::from_str::<serde_json::Value>(want).unwrap());
    }
}
