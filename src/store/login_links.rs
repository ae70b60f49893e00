//! login_links: one-time ways in for `local-admin`, by the hash of the link's secret part.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::micros;
use super::{StoreError, Tx};

/// Stores a link; `hash` is the hex SHA-256 of its secret part.
pub fn insert(tx: &Tx<'_>, hash: &str, created_by: &str, expires_at: Timestamp) -> Result<(), StoreError> {
    let what = "store a login link";
    tx.run(what, "DELETE FROM login_links WHERE expires_at <= ?1", [micros(tx.now())])?;
    tx.run(
        what,
        "INSERT INTO login_links (hash, created_by, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)",
        params![hash, created_by, micros(tx.now()), micros(expires_at)],
    )?;
    Ok(())
}

/// Uses a link up. False: unknown, expired, or used before; these look the same from outside.
pub fn consume(tx: &Tx<'_>, hash: &str) -> Result<bool, StoreError> {
    let rows = tx.run(
        "use a login link",
        "UPDATE login_links SET used_at = ?2 WHERE hash = ?1 AND used_at IS NULL AND expires_at > ?2",
        params![hash, micros(tx.now())],
    )?;
    Ok(rows == 1)
}
