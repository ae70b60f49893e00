//! What changed, and who did it, in the transaction that changed it.
use super::Authorized;
use crate::model::Principal;
use crate::store::audit_log::{self, Decision, Entry};
use crate::store::{StoreError, Tx};

/// Notes something that was allowed and done.
pub fn noted(tx: &Tx<'_>, authorized: &Authorized, resource: &str, detail: &str) -> Result<(), StoreError> {
    let action = authorized.action();
    audit_log::append(
        tx,
        &Entry {
            principal: authorized.principal().clone(),
            action: action.as_str().to_owned(),
            resource: bounded(resource),
            decision: Decision::Allowed,
            detail: bounded(detail),
            pipeline: action.pipeline(),
        },
    )
}

/// Notes something that was refused.
pub fn refused(tx: &Tx<'_>, principal: Principal, action: &str, resource: &str, why: &str) -> Result<(), StoreError> {
    let (resource, detail) = (bounded(resource), bounded(why));
    let action = action.to_owned();
    audit_log::append(tx, &Entry { principal, action, resource, decision: Decision::Denied, detail, pipeline: None })
}

/// Notes what somebody did without an action of the list: logging in and out.
pub(super) fn came(tx: &Tx<'_>, principal: Principal, action: &str, resource: &str) -> Result<(), StoreError> {
    let (resource, detail) = (bounded(resource), String::new());
    let action = action.to_owned();
    audit_log::append(tx, &Entry { principal, action, resource, decision: Decision::Allowed, detail, pipeline: None })
}

/// What strangers type must not fill the log.
fn bounded(text: &str) -> String {
    text.chars().take(300).collect()
}
