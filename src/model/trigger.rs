//! Why a job exists and what happened in the repository.
use serde::{Deserialize, Serialize};

/// Why a job exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// A forge told of an event.
    Webhook,
    /// A schedule.
    Cron,
    /// A person, in console or CLI on the machine.
    Manual,
    /// A token.
    Api,
    /// A person or token, from an earlier job.
    Rerun,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 5] = [Self::Webhook, Self::Cron, Self::Manual, Self::Api, Self::Rerun];

    /// The stored and shown word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Cron => "cron",
            Self::Manual => "manual",
            Self::Api => "api",
            Self::Rerun => "rerun",
        }
    }

    /// Reads a stored word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == text)
    }
}

/// What happened in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RepoEvent {
    /// A branch moved.
    Push,
    /// A tag was made.
    Tag,
    /// A pull request was opened or moved.
    PullRequest,
}

impl RepoEvent {
    /// Every event.
    pub const ALL: [Self; 3] = [Self::Push, Self::Tag, Self::PullRequest];

    /// The stored and shown word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Tag => "tag",
            Self::PullRequest => "pull_request",
        }
    }

    /// Reads a stored word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == text)
    }
}

/// The commit a job builds, as it was read from the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// 40 lower-case hex digits.
    pub commit: String,
    /// The branch, without `refs/heads/`.
    pub branch: String,
    /// The tag, without `refs/tags/`.
    pub tag: Option<String>,
    /// The commit's first line and body, at most 4 KiB.
    pub message: String,
    /// `Name <address>`.
    pub author: String,
}
