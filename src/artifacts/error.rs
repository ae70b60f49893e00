use std::io;
use std::path::{Path, PathBuf};

use super::Digest;

/// What can go wrong with an artifact.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name cannot be shown, linked or downloaded safely.
    #[error("the artifact name {name:?} is refused: {why}")]
    BadName {
        /// The name as it came, cut to 100 characters.
        name: String,
        /// What is wrong with it and what is allowed.
        why: &'static str,
    },
    /// More bytes came than one artifact may have; nothing was stored.
    #[error(
        "the artifact is larger than the limit of {limit} bytes; upload less, or ask the operator for a higher limit"
    )]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The disk or its quota is full; nothing was stored.
    #[error("no space is left in {} for the artifact; free space or shorten the retention of artifacts", dir.display())]
    NoSpace {
        /// The job's directory.
        dir: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// An earlier write failed, so what is there must not become an artifact.
    #[error("the artifact is incomplete, because an earlier write failed; upload it again")]
    Incomplete,
    /// The file is not (or no longer) on disk.
    #[error("the artifact with SHA-256 {digest} is not on disk in {}; it may have passed its retention", dir.display())]
    NotFound {
        /// The digest that was asked for.
        digest: Digest,
        /// The job's directory.
        dir: PathBuf,
    },
    /// The range does not lie inside the file.
    #[error("bytes {start} to {end} do not lie within the artifact {digest} of {size} bytes")]
    OutOfRange {
        /// The digest that was asked for.
        digest: Digest,
        /// First byte asked for.
        start: u64,
        /// End of the range, exclusive.
        end: u64,
        /// Size of the file on disk.
        size: u64,
    },
    /// The system refused something else.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
}

/// Maps a system error while doing `action` on `path`; a full disk is told apart.
pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::NoSpace { dir: path.parent().unwrap_or(path).to_owned(), source }
        }
        _ => Error::Io { action, path: path.to_owned(), source },
    }
}
