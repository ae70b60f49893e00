//! What an image consists of.
use serde::{Deserialize, Serialize};

/// One layer, as the image's manifest and config tell of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// `sha256:…` of what is downloaded.
    pub digest: String,
    /// Its length in bytes.
    pub size: u64,
    /// `sha256:…` of the tar in it.
    pub diff_id: String,
    /// How it is packed.
    pub packing: Packing,
}

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// A plain tar.
    Tar,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}
