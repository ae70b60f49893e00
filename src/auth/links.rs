//! One-time login links: the way in when the configuration knows nobody yet, or nobody any more.
use std::sync::Arc;
use std::time::Duration;

use super::{Authorized, audit, secret_text, sessions};
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
        .write(Durability::Acknowledged, move |tx| {
            login_links::insert(tx, &hash, &authorized.principal().label(), tx.now() + LASTS)?;
            audit::noted(tx, &authorized, "login link", "")
        })
        .await?;
    Ok(text)
}

/// Uses a link up: the cookie of a session of `local-admin`; none where the link is unknown, old or used.
pub async fn redeem(
    store: &Store,
    ids: Arc<dyn Ids>,
    text: &str,
    cookie_before: Option<String>,
) -> Result<Option<Secret<String>>, StoreError> {
    let hash = secret_text::hash(text);
    store
        .write(Durability::Acknowledged, move |tx| {
            if !login_links::consume(tx, &hash)? {
                audit::refused(tx, Principal::System, "session.begin", "login link", "unknown, old or used before")?;
                return Ok(None);
            }
            sessions::end_of_cookie(tx, cookie_before.as_deref())?;
            audit::came(tx, Principal::LocalAdmin, "session.begin", "login link")?;
            sessions::begin(tx, ids.as_ref(), None).map(Some)
        })
        .await
}
