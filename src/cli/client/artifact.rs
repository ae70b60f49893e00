//! Artifacts as the API shows them.
use jiff::Timestamp;
use serde::Deserialize;

/// Something that a job kept.
#[derive(Debug, Clone, Deserialize)]
pub struct Artifact {
    /// Its name, as the job gave it.
    pub name: String,
    /// `file` or `dir`.
    pub kind: String,
    /// Bytes.
    pub size: u64,
    /// Hex.
    pub sha256: String,
    /// When its file was deleted by retention.
    pub expired_at: Option<Timestamp>,
}
