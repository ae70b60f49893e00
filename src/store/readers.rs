//! A few connections that read, lent for one view at a time.
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::error::Tried;
use super::{StoreError, View, open};

/// Idle connections that are kept; as many reads run at once.
pub(super) const READERS: usize = 4;

/// The pool. Its users are bounded by a semaphore of `READERS` in `Store::read`.
pub(super) struct Readers {
    path: PathBuf,
    // A std mutex: held for a push or a pop, never across a query.
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::new(Vec::new()) }
    }

    /// Runs `f` on one consistent view. A connection whose read panicked is not used again.
    pub(super) fn view<T>(&self, f: impl FnOnce(&View<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut conn = match idle {
            Some(conn) => conn,
            None => open::reader(&self.path)?,
        };
        let tx = conn.transaction().tried("begin a read")?;
        let result = f(&View::new(&tx));
        tx.finish().tried("end a read")?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < READERS {
            idle.push(conn);
        }
        result
    }
}
