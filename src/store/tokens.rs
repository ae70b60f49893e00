//! tokens: API tokens, by the hash of what was shown once.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::{micros, row, to_json};
use super::{StoreError, Tx, View};
use crate::model::{TokenId, UserId};

row! {
    /// An API token.
    pub struct TokenRow {
        /// Its id.
        pub id: TokenId,
        /// Its name.
        pub name: String,
        /// What kind of token; `auth` knows the words.
        pub kind: String,
        /// The user who made it and for whom it acts; none: `local-admin` made it.
        pub user_id: Option<UserId>,
        /// What it may do at most.
        pub scopes: Vec<String>,
        /// When it was made.
        pub created_at: Timestamp,
        /// When it stops working.
        pub expires_at: Option<Timestamp>,
        /// When it was revoked.
        pub revoked_at: Option<Timestamp>,
        /// When it was used last, to the minute.
        pub last_used_at: Option<Timestamp>,
    }
}

/// What is stored of a new token.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its name.
    pub name: String,
    /// Hex SHA-256 of the token.
    pub hash: String,
    /// What kind of token.
    pub kind: String,
    /// The user who made it.
    pub user_id: Option<UserId>,
    /// What it may do at most.
    pub scopes: Vec<String>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

/// Stores a token.
pub fn insert(tx: &Tx<'_>, new: &NewToken) -> Result<TokenId, StoreError> {
    let what = "store a token";
    let id = TokenId::from_uuid(tx.uuid());
    tx.run(
        what,
        "INSERT INTO tokens (id, name, hash, kind, user_id, scopes, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            id,
            new.name,
            new.hash,
            new.kind,
            new.user_id,
            to_json(what, &new.scopes)?,
            micros(tx.now()),
            new.expires_at.map(micros)
        ],
    )?;
    Ok(id)
}

/// The token of a hash, if it works at that moment: not revoked, not expired, its user active.
pub fn find_valid(view: &View<'_>, hash: &str, now: Timestamp) -> Result<Option<TokenRow>, StoreError> {
    view.first(
        "look up a token",
        "SELECT * FROM tokens WHERE hash = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)
         AND (user_id IS NULL OR EXISTS (SELECT 1 FROM users WHERE users.id = tokens.user_id AND users.active = 1))",
        params![hash, micros(now)],
    )
}

/// The tokens of a user, newest first; none: those of `local-admin`.
pub fn of_user(view: &View<'_>, user: Option<UserId>) -> Result<Vec<TokenRow>, StoreError> {
    view.all("list the tokens", "SELECT * FROM tokens WHERE user_id IS ?1 ORDER BY id DESC", [user])
}

/// One page of the tokens of a user, newest first, from before one on.
pub fn page(
    view: &View<'_>,
    user: Option<UserId>,
    before: Option<TokenId>,
    limit: u32,
) -> Result<Vec<TokenRow>, StoreError> {
    // Ids sort by creation, and `~` sorts behind every id.
    let before = before.map_or_else(|| "~".to_owned(), |id| id.to_string());
    view.all(
        "list the tokens",
        "SELECT * FROM tokens WHERE user_id IS ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
        params![user, before, limit],
    )
}

/// Every token, newest first.
pub fn all(view: &View<'_>, limit: u32) -> Result<Vec<TokenRow>, StoreError> {
    view.all("list the tokens", "SELECT * FROM tokens ORDER BY id DESC LIMIT ?1", [limit])
}

/// Revokes a token. False: there is none of that id, or it is revoked already.
pub fn revoke(tx: &Tx<'_>, id: TokenId) -> Result<bool, StoreError> {
    let rows = tx.run(
        "revoke a token",
        "UPDATE tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL",
        params![id, micros(tx.now())],
    )?;
    Ok(rows == 1)
}

/// Notes that a token was used; at most one write a minute has an effect.
pub fn touch(tx: &Tx<'_>, id: TokenId) -> Result<(), StoreError> {
    tx.run(
        "note the use of a token",
        "UPDATE tokens SET last_used_at = ?2 WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at < ?2 - 60000000)",
        params![id, micros(tx.now())],
    )?;
    Ok(())
}
