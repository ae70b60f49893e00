//! API tokens: shown once, stored hashed, expiring, revocable.
use std::time::Duration;

use jiff::Timestamp;

use super::{AuthError, Authorized, Caller, Scope, audit, grants, secret_text};
use crate::model::{PipelineId, Principal, Secret, TokenId, UserId};
use crate::platform::Ids;
use crate::store::tokens::{self, NewToken, TokenRow};
use crate::store::{Durability, Store, StoreError};

/// What every token begins with, so that scanners of leaked secrets know one.
const PREFIX: &str = "danube_";
const KIND: &str = "api";
const READ_ONLY: &str = "read";
const PIPELINE: &str = "pipeline:";
/// Tokens of one user that work at once.
const MOST: usize = 100;

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// A name to know it by.
    pub name: String,
    /// Days it works: 1 to 366.
    pub days: u32,
    /// What it is narrowed to.
    pub scope: Scope,
}

/// A new token, shown once.
#[derive(Debug)]
pub struct Made {
    /// Its id.
    pub id: TokenId,
    /// The token itself.
    pub text: Secret<String>,
    /// When it stops working.
    pub expires_at: Timestamp,
}

/// Makes a token for the person that asks.
pub async fn create(store: &Store, ids: &dyn Ids, authorized: Authorized, wish: Wish) -> Result<Made, AuthError> {
    let name = wish.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(AuthError::invalid("a token needs a name of 1 to 100 printable characters"));
    }
    if !(1..=366).contains(&wish.days) {
        return Err(AuthError::invalid("a token works for 1 to 366 days"));
    }
    let user = owner(authorized.principal());
    let text = secret_text::fresh(PREFIX, ids);
    let hash = secret_text::hash(text.expose());
    let expires_at = store.clock().now() + Duration::from_secs(u64::from(wish.days) * 86_400);
    let made = store
        .write("auth.token_create", Durability::Acknowledged, move |tx| {
            let now = tx.now();
            if tokens::of_user(tx, user)?.iter().filter(|row| works(row, now)).count() >= MOST {
                return Ok(None);
            }
            audit::noted(tx, &authorized, &format!("token {name}"), "created")?;
            let new = NewToken {
                name,
                hash,
                kind: KIND.to_owned(),
                user_id: user,
                scopes: words(wish.scope),
                expires_at: Some(expires_at),
            };
            tokens::insert(tx, &new).map(Some)
        })
        .await?;
    let id = made.ok_or_else(|| AuthError::invalid(format!("{MOST} tokens work already; revoke some first")))?;
    Ok(Made { id, text, expires_at })
}

/// The tokens of the person that asks, newest first.
pub async fn list(store: &Store, authorized: &Authorized) -> Result<Vec<TokenRow>, StoreError> {
    let user = owner(authorized.principal());
    store.read(move |view| tokens::of_user(view, user)).await
}

/// One page of them, from before a token on.
pub async fn page(
    store: &Store,
    authorized: &Authorized,
    before: Option<TokenId>,
    limit: u32,
) -> Result<Vec<TokenRow>, StoreError> {
    let user = owner(authorized.principal());
    store.read(move |view| tokens::page(view, user, before, limit)).await
}

/// Revokes a token of the person that asks; false: it has none of that id, or it is revoked already.
pub async fn revoke(store: &Store, authorized: Authorized, id: TokenId) -> Result<bool, StoreError> {
    let user = owner(authorized.principal());
    store
        .write("auth.token_revoke", Durability::Acknowledged, move |tx| {
            let own = tokens::of_user(tx, user)?.into_iter().find(|row| row.id == id);
            let Some(row) = own else { return Ok(false) };
            audit::noted(tx, &authorized, &format!("token {}", row.name), "revoked")?;
            tokens::revoke(tx, id)
        })
        .await
}

/// The caller that a token stands for, if it works.
pub async fn find(store: &Store, text: &str, now: Timestamp) -> Result<Option<Caller>, StoreError> {
    if !text.starts_with(PREFIX) {
        return Ok(None);
    }
    let hash = secret_text::hash(text);
    let found = store
        .read(move |view| {
            let Some(row) = tokens::find_valid(view, &hash, now)?.filter(|row| row.kind == KIND) else {
                return Ok(None);
            };
            let base = match row.user_id {
                None => Some(Caller::local_admin()),
                Some(user) => grants::of_user(view, user)?,
            };
            Ok(base.zip(scope(&row.scopes)).map(|(base, scope)| (row, base, scope)))
        })
        .await?;
    let Some((row, mut caller, scope)) = found else { return Ok(None) };
    if row.last_used_at.is_none_or(|last| now > last + Duration::from_secs(60)) {
        let id = row.id;
        store.write("auth.token_touch", Durability::Progress, move |tx| tokens::touch(tx, id)).await?;
    }
    caller.grants.scope = scope;
    caller.principal = Principal::Token { id: row.id, name: row.name, user: row.user_id };
    Ok(Some(caller))
}

/// Does a token work at that moment?
pub fn works(row: &TokenRow, now: Timestamp) -> bool {
    row.revoked_at.is_none() && row.expires_at.is_none_or(|end| now < end)
}

/// A stored scope; none where a newer release wrote a word that this one does not know: then the
/// token may do nothing rather than too much.
pub fn scope(words: &[String]) -> Option<Scope> {
    let mut scope = Scope::default();
    for word in words {
        match word.strip_prefix(PIPELINE) {
            Some(id) => scope.pipeline = Some(id.parse::<PipelineId>().ok()?),
            None if word == READ_ONLY => scope.read_only = true,
            None => return None,
        }
    }
    Some(scope)
}

fn words(scope: Scope) -> Vec<String> {
    let read = scope.read_only.then(|| READ_ONLY.to_owned());
    read.into_iter().chain(scope.pipeline.map(|id| format!("{PIPELINE}{id}"))).collect()
}

fn owner(principal: &Principal) -> Option<UserId> {
    match principal {
        Principal::User { id, .. } => Some(*id),
        Principal::Token { user, .. } => *user,
        Principal::LocalAdmin | Principal::Job { .. } | Principal::System => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::SeededIds;

    #[test]
    fn a_scope_survives_its_row_and_an_unknown_word_opens_nothing() {
        let pipeline = Some(PipelineId::from_uuid(SeededIds::new(1).uuid()));
        for kept in [Scope::default(), Scope { read_only: true, pipeline }, Scope { read_only: false, pipeline }] {
            assert_eq!(scope(&words(kept)), Some(kept));
        }
        assert_eq!(scope(&["teleport".to_owned()]), None);
        assert_eq!(scope(&["pipeline:x".to_owned()]), None);
    }
}
