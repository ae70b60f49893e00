//! How far the audit log's chain of hashes was followed since the server started.
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

use super::error::Answer;
use crate::store::Store;
use crate::store::audit_log::{self, Link};

/// Lines that one look follows at most: a page never waits for a million of them.
const STEP: u32 = 5_000;

/// What is known about the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "AuditChain")]
pub(super) struct Standing {
    /// No line up to `checked` was changed, added or taken away.
    pub(super) sound: bool,
    /// Lines that were followed, from the first.
    pub(super) checked: i64,
    /// Lines that there are.
    pub(super) lines: i64,
}

/// Follows the chain, a stretch at each look.
#[derive(Debug, Default)]
pub(super) struct Chain(Mutex<Link>);

impl Chain {
    /// Follows the next stretch. A break is final: every look begins at it again.
    pub(super) async fn look(&self, store: &Store) -> Answer<Standing> {
        let from = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let followed = store.read(move |view| audit_log::follow(view, from, STEP)).await?;
        let standing = Standing { sound: followed.sound, checked: followed.link.seq, lines: followed.lines };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if followed.link.seq > known.seq {
            *known = followed.link;
        }
        drop(known);
        Ok(standing)
    }
}
