//! A job's states and the one function that moves it.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a job stands. The stored words are pinned by a test: changing one would break databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "JobStatus")]
pub enum Status {
    /// Waits for a slot (or for `run_after`).
    Pending,
    /// Leased by a master; may be parked.
    Running,
    /// The danubefile ended well.
    Success,
    /// It did not; `FailureKind` says whose fault.
    Failure,
    /// Somebody, or a newer job, stopped it.
    Cancelled,
    /// The deadline passed.
    Timeout,
}

impl Status {
    /// Every status, in the order of life.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Success, Self::Failure, Self::Cancelled, Self::Timeout];

    /// The stored and shown word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
        }
    }

    /// Nothing moves a job from here.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Cancelled | Self::Timeout)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word is not a status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a status (pending, running, success, failure, cancelled, timeout)")]
pub struct UnknownStatus(String);

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| UnknownStatus(text.chars().take(32).collect()))
    }
}

/// Whose fault a `failure` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FailureKind {
    /// A step or the danubefile failed.
    Pipeline,
    /// The job could not be run as configured (bad revision, forbidden image).
    Configuration,
    /// The machine or the executor lost it, and no attempt is left.
    Infrastructure,
}

impl FailureKind {
    /// The stored and shown word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pipeline => "pipeline",
            Self::Configuration => "configuration",
            Self::Infrastructure => "infrastructure",
        }
    }
}

/// What happened to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A master took it.
    Claimed,
    /// The lease was extended.
    Renewed,
    /// A new master met it still running.
    Adopted,
    /// Somebody asked for its end.
    CancelRequested,
    /// Its containers are gone after a cancel.
    Stopped,
    /// The coordinator ended: 0 is success.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// It can't be run as configured.
    Rejected,
    /// Its time was up and its containers are gone.
    DeadlinePassed,
    /// It waits for a person.
    Parked,
    /// The person answered.
    Unparked,
    /// The attempt was lost to infrastructure.
    Lost {
        /// Further attempts are allowed.
        attempts_left: bool,
    },
}

/// Where an event leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The status from now on.
    pub status: Status,
    /// Set for `Failure` alone.
    pub failure: Option<FailureKind>,
}

/// An event that cannot happen to a job in this state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {from} job cannot take the event {event:?}")]
pub struct IllegalTransition {
    /// The state it is in.
    pub from: Status,
    /// What was said to have happened.
    pub event: Event,
}

/// The whole life of a job on one screen: total, no clock, no I/O. Nothing else decides a status.
pub fn next(from: Status, event: &Event) -> Result<Next, IllegalTransition> {
    let to = |status| Ok(Next { status, failure: None });
    let failed = |kind| Ok(Next { status: Status::Failure, failure: Some(kind) });
    match from {
        Status::Pending => match event {
            Event::Claimed => to(Status::Running),
            Event::CancelRequested => to(Status::Cancelled),
            _ => Err(IllegalTransition { from, event: event.clone() }),
        },
        Status::Running => match event {
            Event::Renewed | Event::Adopted | Event::CancelRequested | Event::Parked | Event::Unparked => {
                to(Status::Running)
            }
            Event::Stopped => to(Status::Cancelled),
            Event::Exited { code: 0 } => to(Status::Success),
            Event::Exited { .. } => failed(FailureKind::Pipeline),
            Event::Rejected => failed(FailureKind::Configuration),
            Event::DeadlinePassed => to(Status::Timeout),
            Event::Lost { attempts_left: true } => to(Status::Pending),
            Event::Lost { attempts_left: false } => failed(FailureKind::Infrastructure),
            Event::Claimed => Err(IllegalTransition { from, event: event.clone() }),
        },
        Status::Success | Status::Failure | Status::Cancelled | Status::Timeout => {
            Err(IllegalTransition { from, event: event.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<Event> {
        vec![
            Event::Claimed,
            Event::Renewed,
            Event::Adopted,
            Event::CancelRequested,
            Event::Stopped,
            Event::Exited { code: 0 },
            Event::Exited { code: 1 },
            Event::Rejected,
            Event::DeadlinePassed,
            Event::Parked,
            Event::Unparked,
            Event::Lost { attempts_left: true },
            Event::Lost { attempts_left: false },
        ]
    }

    #[test]
    fn the_whole_table_is_as_agreed() {
        let mut table = String::new();
        for from in Status::ALL {
            for event in events() {
                let to = match next(from, &event) {
                    Ok(Next { status, failure: Some(kind) }) => format!("{status}({})", kind.as_str()),
                    Ok(Next { status, failure: None }) => status.to_string(),
                    Err(_) => continue,
                };
                table.push_str(&format!("{from} + {event:?} = {to}\n"));
            }
        }
        crate::golden::check("src/model/job_transitions.golden", &table);
    }

    #[test]
    fn stored_words_do_not_change() {
        let words = Status::ALL.map(Status::as_str);
        assert_eq!(words, ["pending", "running", "success", "failure", "cancelled", "timeout"]);
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
    }

    #[test]
    fn nothing_leaves_a_terminal_state() {
        for from in Status::ALL.into_iter().filter(|s| s.is_terminal()) {
            assert!(events().iter().all(|e| next(from, e).is_err()));
        }
    }
}
