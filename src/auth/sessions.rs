//! Browser sessions: a random cookie, known to the store by its hash.
use std::time::Duration;

use jiff::Timestamp;

use super::{Caller, audit, csrf, grants, secret_text};
use crate::model::{Principal, Secret, SessionId, UserId};
use crate::platform::Ids;
use crate::store::{self, Durability, Store, StoreError, Tx};

/// A session that nobody uses ends.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// A session ends however much it is used.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// One made by a login link: somebody is repairing something.
const LONGEST_LOCAL: Duration = Duration::from_secs(12 * 3600);
/// Uses are noted once in this time.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// A session in use.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its row.
    pub id: SessionId,
    /// Who it belongs to, with today's rights.
    pub caller: Caller,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// Its last noted use is long enough ago to note another.
    stale: bool,
}

/// Begins a session; the cookie's value is shown to the browser alone.
pub(super) fn begin(tx: &Tx<'_>, ids: &dyn Ids, user: Option<UserId>) -> Result<Secret<String>, StoreError> {
    let cookie = secret_text::fresh("", ids);
    let length = if user.is_some() { LONGEST } else { LONGEST_LOCAL };
    let hash = secret_text::hash(cookie.expose());
    store::sessions::delete_expired(tx)?;
    store::sessions::insert(tx, &hash, user, &csrf::token(cookie.expose()), tx.now() + length)?;
    Ok(cookie)
}

/// The session of a cookie, if it still holds.
pub async fn find(store: &Store, cookie: &str, now: Timestamp) -> Result<Option<Session>, StoreError> {
    let hash = secret_text::hash(cookie);
    let session = store
        .read(move |view| {
            let Some(row) = store::sessions::find_valid(view, &hash, now)? else { return Ok(None) };
            if now > row.last_used_at + IDLE {
                return Ok(None);
            }
            let caller = match row.user_id {
                None => Some(Caller::local_admin()),
                Some(user) => grants::of_user(view, user)?,
            };
            let stale = now > row.last_used_at + NOTED_EVERY;
            Ok(caller.map(|caller| Session { id: row.id, caller, expires_at: row.expires_at, stale }))
        })
        .await?;
    if let Some(Session { id, stale: true, .. }) = session {
        store.write("auth.session_touch", Durability::Progress, move |tx| store::sessions::touch(tx, id)).await?;
    }
    Ok(session)
}

/// Ends a session.
pub async fn end(store: &Store, id: SessionId, principal: Principal) -> Result<(), StoreError> {
    store
        .write("auth.session_end", Durability::Acknowledged, move |tx| {
            store::sessions::delete(tx, id)?;
            audit::came(tx, principal, "session.end", "session")
        })
        .await
}

/// Ends the session of a cookie, whoever it belongs to: a login replaces what the browser had before.
pub(super) fn end_of_cookie(tx: &Tx<'_>, cookie: Option<&str>) -> Result<(), StoreError> {
    let Some(cookie) = cookie else { return Ok(()) };
    match store::sessions::find_valid(tx, &secret_text::hash(cookie), tx.now())? {
        Some(row) => store::sessions::delete(tx, row.id),
        None => Ok(()),
    }
}
