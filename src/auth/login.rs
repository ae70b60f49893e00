//! Logging in with an address and a password.
use std::net::IpAddr;
use std::sync::Arc;

use super::{Attempts, AuthError, Passwords, audit, sessions};
use crate::model::{Principal, Secret};
use crate::platform::Ids;
use crate::store::{Durability, Store, users};

/// What a login form brings.
#[derive(Debug)]
pub struct Attempt {
    /// The address somebody typed.
    pub email: String,
    /// The password.
    pub password: Secret<String>,
    /// Where the request comes from; none: the machine itself.
    pub address: Option<IpAddr>,
    /// The session cookie the browser had before: it ends.
    pub cookie_before: Option<String>,
}

/// What a login needs beside the form.
#[derive(Clone)]
pub struct Door {
    /// The store.
    pub store: Store,
    /// Makes cookies.
    pub ids: Arc<dyn Ids>,
    /// Counts failures.
    pub attempts: Arc<Attempts>,
    /// Checks passwords.
    pub passwords: Passwords,
}

/// The cookie of a new session, or none: the address or the password is wrong, and nothing says which.
pub async fn with_password(door: &Door, attempt: Attempt) -> Result<Option<Secret<String>>, AuthError> {
    let Attempt { email, password, address, cookie_before } = attempt;
    let email: String = email.trim().chars().take(254).collect();
    let now = door.store.clock().now();
    door.attempts.begin(&email, address, now).map_err(|wait| AuthError::TooMany { seconds: wait.as_secs().max(1) })?;
    let looked_up = email.clone();
    let user = door.store.read(move |view| users::find_active_by_email(view, &looked_up)).await?;
    let hash = user.as_ref().and_then(|user| user.password_hash.clone());
    let right = door.passwords.check(password, hash).await;
    let Some(user) = user.filter(|_| right) else {
        let from = address.map_or_else(|| "the machine".to_owned(), |ip| ip.to_string());
        let note = move |tx: &crate::store::Tx<'_>| {
            audit::refused(tx, Principal::System, "session.begin", &email, &format!("wrong login from {from}"))
        };
        door.store.write("auth.login_refused", Durability::Progress, note).await?;
        return Ok(None);
    };
    door.attempts.succeeded(&email, address);
    let ids = Arc::clone(&door.ids);
    let cookie = door
        .store
        .write("auth.login", Durability::Acknowledged, move |tx| {
            sessions::end_of_cookie(tx, cookie_before.as_deref())?;
            audit::came(tx, Principal::User { id: user.id, email: user.email.clone() }, "session.begin", "session")?;
            sessions::begin(tx, ids.as_ref(), Some(user.id))
        })
        .await?;
    Ok(Some(cookie))
}
