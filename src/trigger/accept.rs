//! A delivery at the door: checked before it is read, stored before it is answered.
use crate::model::{DeliveryId, Secret};
use crate::secrets::{self, SecretError};
use crate::store::deliveries::{self, DeliveryState, NewDelivery};
use crate::store::{Durability, StoreError, config_commits};

use super::delivery::{DeliveryKind, Unparsable};
use super::signature::BadSignature;
use super::{Ctx, Forge, Headers};

/// The largest body that is read.
pub const MAX_BODY: usize = 5 << 20;

/// A delivery that is stored, whatever happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is new: 202.
    New(DeliveryId),
    /// Its id was seen before: 200, "already received".
    SeenBefore,
}

/// A delivery of which nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// `webhooks` in the config repo has no such forge and name.
    #[error("there is no webhook at this address; add it to webhooks in the config repo")]
    NoWebhook,
    /// Not signed by a secret of this address.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// Signed, but not understood.
    #[error(transparent)]
    Unparsable(#[from] Unparsable),
    /// Too many bytes.
    #[error("the delivery is larger than {MAX_BODY} bytes")]
    TooLarge,
    /// Too many deliveries wait.
    #[error("too many deliveries wait to be processed; send it again later")]
    Busy,
    /// No new jobs for now.
    #[error("Danube is draining; send the delivery again later")]
    Draining,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Rejected {
    /// The HTTP status that says it.
    pub const fn status(&self) -> u16 {
        match self {
            Self::NoWebhook => 404,
            Self::Signature(_) => 401,
            Self::Unparsable(_) => 400,
            Self::TooLarge => 413,
            Self::Busy => 429,
            Self::Draining | Self::Store(_) => 503,
        }
    }

    /// Seconds after which the same delivery may succeed.
    pub const fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Busy => Some(30),
            Self::Draining | Self::Store(_) => Some(60),
            Self::NoWebhook | Self::Signature(_) | Self::Unparsable(_) | Self::TooLarge => None,
        }
    }
}

/// Takes a delivery in. The address (`/webhooks/{forge}/{name}`) alone chooses forge and secrets; when it answers
/// `Accepted`, the delivery survives a power cut.
pub async fn accept(ctx: &Ctx, forge: &str, name: &str, headers: &Headers, body: &[u8]) -> Result<Accepted, Rejected> {
    if body.len() > MAX_BODY {
        return Err(Rejected::TooLarge);
    }
    let kind = Forge::parse(forge).ok_or(Rejected::NoWebhook)?;
    let door = look(ctx, kind, name).await?;
    kind.verify(headers, body, &door.secrets)?;
    let delivery = kind.parse_delivery(headers, body)?;
    // What was verified is told apart from here on: only a known sender learns that we are busy.
    if door.draining {
        return Err(Rejected::Draining);
    }
    let what = "store a webhook delivery";
    let new = NewDelivery {
        forge: kind.as_str().to_owned(),
        name: name.to_owned(),
        delivery_id: delivery.id.clone(),
        event: delivery.kind.as_str().to_owned(),
        payload: serde_json::to_vec(&delivery).map_err(|e| StoreError::corrupt(what, e))?,
    };
    let nothing_to_do = match &delivery.kind {
        DeliveryKind::Push(_) => None,
        DeliveryKind::Ping => Some("the webhook works".to_owned()),
        DeliveryKind::Other { name } => Some(format!("the event '{name}' starts nothing")),
    };
    let room = ctx.room.clone();
    let stored = ctx.store.write("trigger.accept", Durability::Acknowledged, move |tx| {
        if nothing_to_do.is_none() && !room.take(tx)? {
            return Ok(None);
        }
        let Some(id) = deliveries::insert(tx, &new)? else { return Ok(Some(Accepted::SeenBefore)) };
        if let Some(outcome) = nothing_to_do {
            deliveries::settle(tx, id, DeliveryState::Ignored, &outcome)?;
        }
        Ok(Some(Accepted::New(id)))
    });
    stored.await?.ok_or(Rejected::Busy)
}

struct Door {
    secrets: Vec<Secret<Vec<u8>>>,
    draining: bool,
}

async fn look(ctx: &Ctx, forge: Forge, name: &str) -> Result<Door, Rejected> {
    let (vault, name) = (ctx.vault.clone(), name.to_owned());
    // One view for everything: a forge's burst asks this thousands of times a second.
    let read = ctx.store.read(move |view| {
        let global = config_commits::global_in_force(view)?;
        let webhook = global.webhooks.into_iter().find(|w| w.forge == forge.as_str() && w.name == name);
        let Some(webhook) = webhook else { return Ok(None) };
        let mut found = Vec::new();
        for key in [Some(webhook.secret), webhook.previous_secret].into_iter().flatten() {
            match secrets::of_danube_in(view, &vault, &key) {
                Ok(secret) => found.push(secret),
                Err(SecretError::Store(e)) => return Err(e),
                // A missing secret verifies nothing: the answer is the same as to a wrong signature.
                Err(e) => tracing::warn!(webhook = name, key, error = %e, "a webhook's secret cannot be read"),
            }
        }
        Ok(Some(Door { secrets: found, draining: super::drain::is_on(view)? }))
    });
    read.await?.ok_or(Rejected::NoWebhook)
}

#[cfg(test)]
mod tests;
