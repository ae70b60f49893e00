use std::io;
use std::path::PathBuf;

/// Why the registry can't do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The machine refused something.
    #[error("the registry could not {what} {path}: {source}")]
    Io {
        /// The verb.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The authority's key is none.
    #[error("the key {path} can't be used: {why}; remove it and restart, and a new one is made")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// No certificate could be made.
    #[error("no certificate for the registry's name could be made: {0}")]
    Certificate(String),
    /// There is none here, or it does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// It answered something else than was expected.
    #[error("the registry was asked to {what} and answered {answer}")]
    Answer {
        /// For what.
        what: String,
        /// What it said.
        answer: String,
    },
    /// Its garbage collection ended badly.
    #[error("the registry's garbage collection failed: {0}")]
    Collect(String),
    /// The database refused something.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}
