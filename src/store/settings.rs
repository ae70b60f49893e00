//! settings: single values of the running system (draining, the id of the encryption key).
use rusqlite::params;

use super::sql::micros;
use super::{StoreError, Tx, View};

/// A value, if it was ever set.
pub fn find(view: &View<'_>, name: &str) -> Result<Option<String>, StoreError> {
    view.value("read a setting", "SELECT value FROM settings WHERE name = ?1", [name])
}

/// Sets a value.
pub fn set(tx: &Tx<'_>, name: &str, value: &str) -> Result<(), StoreError> {
    tx.run(
        "store a setting",
        "INSERT INTO settings (name, value, updated_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
        params![name, value, micros(tx.now())],
    )?;
    Ok(())
}

/// Forgets a value.
pub fn remove(tx: &Tx<'_>, name: &str) -> Result<(), StoreError> {
    tx.run("remove a setting", "DELETE FROM settings WHERE name = ?1", [name])?;
    Ok(())
}

/// The schema of the database and the oldest schema that a reader must know.
pub fn schema(view: &View<'_>) -> Result<(i64, i64), StoreError> {
    let what = "read the version of the database";
    let schema = view.value(what, "SELECT schema FROM meta", [])?;
    let min_reader = view.value(what, "SELECT min_reader FROM meta", [])?;
    schema.zip(min_reader).ok_or_else(|| StoreError::corrupt(what, "the table meta is empty"))
}

/// Asks SQLite to check the whole file; empty: it is sound.
pub fn integrity_errors(view: &View<'_>) -> Result<Vec<String>, StoreError> {
    let mut lines: Vec<String> = view.values("check the database", "PRAGMA integrity_check(20)", [])?;
    lines.retain(|line| line != "ok");
    Ok(lines)
}
