//! What goes wrong in the store.
use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why a read or write of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The thing asked for is not there.
    #[error("there is no {what}")]
    NotFound {
        /// What was looked for, with its id or name.
        what: String,
    },
    /// The write contradicts what is stored.
    #[error("could not {what}: {why}")]
    Conflict {
        /// What was tried.
        what: String,
        /// The rule that it breaks.
        why: String,
    },
    /// Another process holds the database, or the queue of writes is full.
    #[error("could not {what}: the database is busy; try again in a moment")]
    Busy {
        /// What was tried.
        what: String,
    },
    /// No space is left.
    #[error("could not {what}: the disk of the data directory is full; free some space (retention, old artifacts)")]
    Full {
        /// What was tried.
        what: String,
    },
    /// The disk, its mount or its rights refuse.
    #[error(
        "could not {what}: the data directory can't be used ({why}); look at its disk, its mount and its rights; nothing \
         was changed"
    )]
    Disk {
        /// What was tried.
        what: String,
        /// SQLite's own words.
        why: String,
    },
    /// The database was written by a newer release that this one cannot read.
    #[error(
        "the database {path} has schema {schema} and needs a danube that reads schema {min_reader} or later; this one \
         reads {reader}: install the newer release again, or restore a backup made before the upgrade"
    )]
    TooNew {
        /// The database file.
        path: PathBuf,
        /// Its schema.
        schema: i64,
        /// The oldest reader it allows.
        min_reader: i64,
        /// What this program reads.
        reader: i64,
    },
    /// What is stored cannot be understood.
    #[error("could not {what}: the database is damaged ({why}); run `danube doctor`, or restore a backup")]
    Corrupt {
        /// What was tried.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// Any other refusal of SQLite.
    #[error("could not {what} in the database")]
    Sqlite {
        /// What was tried.
        what: String,
        /// SQLite's own words.
        source: rusqlite::Error,
    },
    /// The migrations of the schema failed; nothing of the failed one was kept.
    #[error("could not bring the database {path} to this release's schema; the old data is unchanged")]
    Migrate {
        /// The database file.
        path: PathBuf,
        /// The reason.
        source: Box<refinery::Error>,
    },
    /// A file of the database could not be opened.
    #[error("could not {what}")]
    Io {
        /// What was tried, with the path.
        what: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The group commit of this write failed together with others.
    #[error("the write was not committed: {why}")]
    NotCommitted {
        /// SQLite's own words.
        why: String,
    },
    /// The store is being shut down, or the work given to it panicked.
    #[error("the store gave no answer: it is stopping, or the request failed inside; nothing was written")]
    Stopped,
}

impl StoreError {
    /// A missing thing, named for people.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }

    /// A stored value that cannot be read.
    pub fn corrupt(what: impl Into<String>, why: impl ToString) -> Self {
        Self::Corrupt { what: what.into(), why: why.to_string() }
    }

    /// The same request may succeed a moment later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::NotCommitted { .. } | Self::Disk { .. })
    }

    /// Sorts SQLite's error by what a caller can do about it.
    pub(super) fn sqlite(what: &str, source: rusqlite::Error) -> Self {
        let what = what.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { what },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { what },
            Some(ErrorCode::ReadOnly | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => {
                Self::Disk { what, why: source.to_string() }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt { what, why: source.to_string() }
            }
            Some(ErrorCode::ConstraintViolation) => Self::Conflict { what, why: source.to_string() },
            _ => match source {
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..) => Self::Corrupt { what, why: source.to_string() },
                source => Self::Sqlite { what, source },
            },
        }
    }
}

/// Gives an SQLite result the name of what was tried.
pub(super) trait Tried<T> {
    /// `what` completes "could not …".
    fn tried(self, what: &str) -> Result<T, StoreError>;
}

impl<T> Tried<T> for rusqlite::Result<T> {
    fn tried(self, what: &str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::sqlite(what, source))
    }
}
