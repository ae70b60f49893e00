//! Images as an executor knows them: layers by digest, put together by whoever resolved the name.
use serde::{Deserialize, Serialize};

/// The image of a step, resolved to what it consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// `sha256:…` of its manifest.
    pub digest: String,
    /// The digests of its layers, the lowest first.
    pub layers: Vec<String>,
    /// Whom its config names as its user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// A layer that an executor keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLayer {
    /// `sha256:…` of what was downloaded.
    pub digest: String,
    /// Bytes in its files.
    pub bytes: u64,
    /// When a job last asked for it, in seconds since 1970.
    pub used_at: i64,
    /// A job that is there needs it.
    pub in_use: bool,
}

/// What may stay of layers that no job needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepLayers {
    /// Bytes of all layers together.
    pub bytes: u64,
    /// Seconds since a job last asked for one.
    pub seconds: u64,
}
