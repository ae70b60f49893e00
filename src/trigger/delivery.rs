//! What a forge says happened, in words that are the same for every forge.
use serde::{Deserialize, Serialize};

/// A verified delivery. The body is not kept: it is only a reason to look at the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The forge's id of it, unique for its webhook.
    pub id: String,
    /// What it tells.
    pub kind: DeliveryKind,
}

/// What a delivery tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DeliveryKind {
    /// A branch or tag was made, moved or deleted.
    Push(Push),
    /// The webhook was set up.
    Ping,
    /// An event that starts nothing.
    Other {
        /// The forge's name of it.
        name: String,
    },
}

/// A branch or tag was made, moved or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// Addresses of the repository; they choose pipelines and are never fetched.
    pub addresses: Vec<String>,
    /// `owner/name`, for people.
    pub repository: String,
    /// `refs/heads/…` or `refs/tags/…`.
    pub reference: String,
    /// Where it was; none if it is new.
    pub before: Option<String>,
    /// Where the forge says it is; none if it is gone.
    pub after: Option<String>,
}

impl DeliveryKind {
    /// The word of lists and logs.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Push(_) => "push",
            Self::Ping => "ping",
            Self::Other { name } => name,
        }
    }
}

/// A signed delivery that says nothing Danube understands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the delivery cannot be read: {reason}")]
pub struct Unparsable {
    /// What is wrong with it.
    pub reason: String,
}

impl Unparsable {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}
