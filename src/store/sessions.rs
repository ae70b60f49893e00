//! sessions: logged-in browsers, by the hash of their cookie.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::{micros, row};
use super::{StoreError, Tx, View};
use crate::model::{SessionId, UserId};

row! {
    /// A session.
    pub struct SessionRow {
        /// Its id.
        pub id: SessionId,
        /// Its user; none: `local-admin`, by a login link.
        pub user_id: Option<UserId>,
        /// What forms must send back.
        pub csrf: String,
        /// When it began.
        pub created_at: Timestamp,
        /// When it ends.
        pub expires_at: Timestamp,
        /// When it was used last, to the minute.
        pub last_used_at: Timestamp,
    }
}

/// Begins a session; `hash` is the hex SHA-256 of the cookie.
pub fn insert(
    tx: &Tx<'_>,
    hash: &str,
    user: Option<UserId>,
    csrf: &str,
    expires_at: Timestamp,
) -> Result<SessionId, StoreError> {
    let id = SessionId::from_uuid(tx.uuid());
    tx.run(
        "begin a session",
        "INSERT INTO sessions (id, hash, user_id, csrf, created_at, expires_at, last_used_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5)",
        params![id, hash, user, csrf, micros(tx.now()), micros(expires_at)],
    )?;
    Ok(id)
}

/// The session of a cookie, if it lasts at that moment and its user is active.
pub fn find_valid(view: &View<'_>, hash: &str, now: Timestamp) -> Result<Option<SessionRow>, StoreError> {
    view.first(
        "look up a session",
        "SELECT * FROM sessions WHERE hash = ?1 AND expires_at > ?2
         AND (user_id IS NULL OR EXISTS (SELECT 1 FROM users WHERE users.id = sessions.user_id AND users.active = 1))",
        params![hash, micros(now)],
    )
}

/// Notes that a session was used; at most one write a minute has an effect.
pub fn touch(tx: &Tx<'_>, id: SessionId) -> Result<(), StoreError> {
    tx.run(
        "note the use of a session",
        "UPDATE sessions SET last_used_at = ?2 WHERE id = ?1 AND last_used_at < ?2 - 60000000",
        params![id, micros(tx.now())],
    )?;
    Ok(())
}

/// Ends a session.
pub fn delete(tx: &Tx<'_>, id: SessionId) -> Result<(), StoreError> {
    tx.run("end a session", "DELETE FROM sessions WHERE id = ?1", [id])?;
    Ok(())
}

/// Ends every session of a user.
pub fn delete_of_user(tx: &Tx<'_>, user: UserId) -> Result<usize, StoreError> {
    tx.run("end the sessions of a user", "DELETE FROM sessions WHERE user_id = ?1", [user])
}

/// Deletes sessions that are over; how many.
pub fn delete_expired(tx: &Tx<'_>) -> Result<usize, StoreError> {
    tx.run("delete old sessions", "DELETE FROM sessions WHERE expires_at <= ?1", [micros(tx.now())])
}
