//! Why a log cannot be read.
use std::io;
use std::path::{Path, PathBuf};

/// A log could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system said no.
    #[error("cannot {what} {}: {source}; check the disk and the rights of the data directory", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The thread that read for an asynchronous caller was stopped.
    #[error("reading a log was stopped because the server is stopping")]
    Stopped,
}

impl LogError {
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, path: path.to_owned(), source }
    }
}
