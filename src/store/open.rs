//! Opening the database: permissions, version check, migrations, connection settings.
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::StoreError;
use super::error::Tried;
use crate::platform::fault;

/// The newest schema that this program reads and writes.
const READER: i64 = 3;

/// Around the migrations.
const MIGRATE: &str = "store.migrate";

/// Prepared statements kept per connection.
const STATEMENTS: usize = 256;

mod embedded {
    refinery::embed_migrations!("src/store/migrations");
}

/// Checks that this program may use the database, before anything is written.
pub(super) fn check_version(path: &Path) -> Result<(), StoreError> {
    if !path.exists() {
        return Ok(());
    }
    let what = format!("read the version of the database {}", path.display());
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).tried(&what)?;
    conn.pragma_update(None, "query_only", true).tried(&what)?;
    let has_meta = conn
        .query_row("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'", [], |_| Ok(()))
        .optional()
        .tried(&what)?;
    if has_meta.is_none() {
        return Ok(());
    }
    let (schema, min_reader): (i64, i64) =
        conn.query_row("SELECT schema, min_reader FROM meta", [], |row| Ok((row.get(0)?, row.get(1)?))).tried(&what)?;
    if READER < min_reader {
        return Err(StoreError::TooNew { path: path.to_owned(), schema, min_reader, reader: READER });
    }
    Ok(())
}

/// Opens the one connection that writes, and brings the schema up to date.
pub(super) fn writer(path: &Path) -> Result<Connection, StoreError> {
    create_private(path)?;
    let what = format!("open the database {}", path.display());
    let mut conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).tried(&what)?;
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).tried(&what)?;
    if mode != "wal" {
        return Err(StoreError::corrupt(what, format!("the file system allows no WAL, only {mode}")));
    }
    configure(&conn).tried(&what)?;
    conn.pragma_update(None, "synchronous", "FULL").tried(&what)?;
    // A database of the release after this one has migrations that are unknown here; `min_reader`
    // has already said that they do no harm.
    fault::before(MIGRATE).map_err(|source| StoreError::Io { what: what.clone(), source })?;
    embedded::migrations::runner()
        .set_abort_missing(false)
        .run(&mut conn)
        .map_err(|source| StoreError::Migrate { path: path.to_owned(), source: Box::new(source) })?;
    fault::after(MIGRATE);
    Ok(conn)
}

/// Opens a connection that only reads.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let what = format!("open the database {} for reading", path.display());
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).tried(&what)?;
    configure(&conn).tried(&what)?;
    conn.pragma_update(None, "query_only", true).tried(&what)?;
    Ok(conn)
}

fn configure(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // A deleted secret's bytes do not stay behind in free pages.
    conn.pragma_update(None, "secure_delete", true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// SQLite would create the file readable by others; `-wal` and `-shm` take over its mode.
fn create_private(path: &Path) -> Result<(), StoreError> {
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .and_then(|file| fault::around("store.create", || file.sync_all()))
        .map_err(|source| StoreError::Io { what: format!("create the database {}", path.display()), source })
}
