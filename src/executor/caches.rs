//! What the master asks an executor for about caches: content by digest, in a job's own directories.
use serde::{Deserialize, Serialize};

use super::StepAt;

/// A cache of one job: restored once, shared by the job's steps that name it, stored from there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachePlace {
    /// 32 hex digits; the same for the same cache of the job.
    pub id: String,
    /// Its paths, in the order of the danubefile.
    pub paths: Vec<CacheRoot>,
}

/// Where one path of a cache lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheRoot {
    /// Below the workspace; what is there already stays.
    Workspace(String),
    /// In a directory of its own, which steps see by [`CacheMount`].
    Own,
}

/// A directory of a cache that a step sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheMount {
    /// [`CachePlace::id`].
    pub id: String,
    /// The number of the path, from 0.
    pub number: u32,
    /// Where the step sees it.
    pub to: String,
}

/// What a cache is filled with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheFill {
    /// Where to.
    pub place: CachePlace,
    /// SHA-256 of the content, in hex; none: its directories are made, and stay empty.
    pub digest: Option<String>,
    /// The step attempt that it is for: said again for the same one, the answer is the same.
    pub at: StepAt,
    /// Whose the files are in the step: `uid` or `uid:gid`; none: its root's.
    pub user: Option<String>,
}

/// What came of filling a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "filled")]
pub enum CacheFilled {
    /// An earlier step of the job has filled it.
    Here,
    /// There is nothing in it.
    Empty,
    /// The content is in its place.
    Restored {
        /// Its size as it is stored.
        bytes: u64,
    },
    /// The executor does not have that content.
    Missing,
    /// The stored bytes are not the ones that were stored; they are removed.
    Damaged,
    /// It can't be put there: why.
    Refused {
        /// For the user.
        reason: String,
    },
}

/// What is taken out of a cache, and its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheTake {
    /// Where from.
    pub place: CachePlace,
    /// The most bytes of its files.
    pub most_bytes: u64,
    /// The most files, directories and links.
    pub most_files: u64,
}

/// What came of storing a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "taken")]
pub enum CacheTaken {
    /// It is what was restored or stored last.
    Unchanged,
    /// It is stored.
    Stored {
        /// SHA-256 of the stored bytes, in hex.
        digest: String,
        /// Their number.
        bytes: u64,
        /// What was left out, for the user.
        remark: Option<String>,
    },
    /// It can't be taken: why.
    Refused {
        /// For the user.
        reason: String,
    },
}

/// Stored content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheBlob {
    /// SHA-256, in hex.
    pub digest: String,
    /// Its size.
    pub bytes: u64,
}
