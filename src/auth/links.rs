//! One-time login links: the way in when the configuration knows nobody yet, or nobody any more.
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::login::Door;
use super::{AuthError, Authorized, audit, secret_text, sessions};
use crate::model::{Principal, Secret};
use crate::platform::Ids;
use crate::store::{Durability, Store, StoreError, login_links};

/// How long a link waits to be used.
const LASTS: Duration = Duration::from_secs(600);

/// Makes a link's secret part; shown once.
pub async fn create(store: &Store, ids: &dyn Ids, authorized: Authorized) -> Result<Secret<String>, StoreError> {
    let text = secret_text::fresh("", ids);
    let hash = secret_text::hash(text.expose());
    store
        .write("auth.link_create", Durability::Acknowledged, move |tx| {
            login_links::insert(tx, &hash, &authorized.principal().label(), tx.now() + LASTS)?;
            audit::noted(tx, &authorized, "login link", "")
        })
        .await?;
    Ok(text)
}

/// Uses a link up: the cookie of a session of `local-admin`; none where the link is unknown, old or used.
/// Wrong links count as failed logins of `address` (none: the machine itself), before anything is written.
pub async fn redeem(
    door: &Door,
    text: &str,
    address: Option<IpAddr>,
    cookie_before: Option<String>,
) -> Result<Option<Secret<String>>, AuthError> {
    let hash = secret_text::hash(text);
    // The link is its own account: strangers can't close the way in for whoever holds another one.
    let account = hash.clone();
    let now = door.store.clock().now();
    door.attempts
        .begin(&account, address, now)
        .map_err(|wait| AuthError::TooMany { seconds: wait.as_secs().max(1) })?;
    let ids = Arc::clone(&door.ids);
    let cookie = door
        .store
        .write("auth.link_redeem", Durability::Acknowledged, move |tx| {
            if !login_links::consume(tx, &hash)? {
                audit::refused(tx, Principal::System, "session.begin", "login link", "unknown, old or used before")?;
                return Ok(None);
            }
            sessions::end_of_cookie(tx, cookie_before.as_deref())?;
            audit::came(tx, Principal::LocalAdmin, "session.begin", "login link")?;
            sessions::begin(tx, ids.as_ref(), None).map(Some)
        })
        .await?;
    if cookie.is_some() {
        door.attempts.succeeded(&account, address);
    }
    Ok(cookie)
}
