//! A step's states and the ways in which an attempt ends.
use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a step stands. The stored words are pinned by a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    /// Accepted, its container not started.
    Pending,
    /// Its container runs.
    Running,
    /// Exit code 0.
    Success,
    /// Any other end of its own.
    Failure,
    /// Stopped with its job.
    Cancelled,
    /// Its own time was up.
    Timeout,
    /// Never started.
    Skipped,
}

impl StepStatus {
    /// Every status.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Running, Self::Success, Self::Failure, Self::Cancelled, Self::Timeout, Self::Skipped];

    /// The stored and shown word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
            Self::Skipped => "skipped",
        }
    }

    /// The step has ended.
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// Reads a stored word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

impl fmt::Display for StepStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an attempt of a step ended; `Retry(on=…)` chooses among the last four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "StepCause")]
pub enum Cause {
    /// Exit code 0.
    Success,
    /// A non-zero exit code.
    Exit,
    /// The step's own timeout.
    Timeout,
    /// The memory limit.
    Oom,
    /// The machine or the executor lost it.
    Infra,
}

impl Cause {
    /// The word of the SDK and of the journal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Exit => "exit",
            Self::Timeout => "timeout",
            Self::Oom => "oom",
            Self::Infra => "infra",
        }
    }

    /// Reads a word of the SDK.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Success, Self::Exit, Self::Timeout, Self::Oom, Self::Infra].into_iter().find(|c| c.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_words_do_not_change() {
        let words = StepStatus::ALL.map(StepStatus::as_str);
        assert_eq!(words, ["pending", "running", "success", "failure", "cancelled", "timeout", "skipped"]);
    }
}
