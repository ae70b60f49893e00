//! The state of the configuration as the API shows it.
use jiff::Timestamp;
use serde::Deserialize;

/// What is in force, and what is wrong with what is not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ConfigState {
    /// The newest commit is in force.
    pub ok: bool,
    /// The commit in force.
    pub in_force: Option<InForce>,
    /// The newest commit of the branch.
    pub last_seen: Option<LastSeen>,
    /// What is wrong with that.
    #[serde(default)]
    pub errors: Vec<Issue>,
    /// When the config repo was looked at last; servers that do not say leave it out.
    #[serde(default)]
    pub last_attempt: Option<Timestamp>,
    /// Why the config repo cannot be looked at.
    #[serde(default)]
    pub error: Option<String>,
}

/// A commit in force.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InForce {
    /// The commit.
    pub commit: String,
    /// Since when.
    pub applied_at: Option<Timestamp>,
}

/// A commit that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LastSeen {
    /// The commit.
    pub commit: String,
}

/// A mistake in the config repo.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Issue {
    /// The file.
    #[serde(default)]
    pub file: Option<String>,
    /// From 1.
    #[serde(default)]
    pub line: Option<u32>,
    /// From 1.
    #[serde(default)]
    pub column: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    #[serde(default)]
    pub fix: Option<String>,
}
