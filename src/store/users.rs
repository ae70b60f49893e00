//! users: from the config repo; deactivated, never deleted.
use rusqlite::params;

use super::sql::{micros, row};
use super::{StoreError, Tx, View};
use crate::model::UserId;
use crate::model::settings::User;

row! {
    /// A user.
    pub struct UserRow {
        /// Its id; stays when its document changes.
        pub id: UserId,
        /// Its name.
        pub name: String,
        /// The address with which it logs in.
        pub email: String,
        /// bcrypt; none: the identity provider alone.
        pub password_hash: Option<String>,
        /// It is in the configuration in force.
        pub active: bool,
    }
}

/// The user of that id, active or not.
pub fn find(view: &View<'_>, id: UserId) -> Result<Option<UserRow>, StoreError> {
    view.first("read a user", "SELECT * FROM users WHERE id = ?1", [id])
}

/// The active user of an address. Addresses compare without case.
pub fn find_active_by_email(view: &View<'_>, email: &str) -> Result<Option<UserRow>, StoreError> {
    view.first("read a user", "SELECT * FROM users WHERE email = ?1 AND active = 1", [email])
}

/// The active users, by name.
pub fn active(view: &View<'_>) -> Result<Vec<UserRow>, StoreError> {
    view.all("read the users", "SELECT * FROM users WHERE active = 1 ORDER BY name", [])
}

pub(super) fn deactivate_all(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.run("deactivate the users", "UPDATE users SET active = 0", [])?;
    Ok(())
}

/// Addresses are unique among active users, so deactivate first: two users may swap theirs.
pub(super) fn upsert(tx: &Tx<'_>, user: &User) -> Result<(), StoreError> {
    tx.run(
        &format!("store the user '{}'", user.name),
        "INSERT INTO users (id, name, email, password_hash, active, created_at) VALUES (?1, ?2, ?3, ?4, 1, ?5)
         ON CONFLICT (name) DO UPDATE SET email = excluded.email, password_hash = excluded.password_hash, active = 1",
        params![UserId::from_uuid(tx.uuid()), user.name, user.email, user.password_hash, micros(tx.now())],
    )?;
    Ok(())
}
