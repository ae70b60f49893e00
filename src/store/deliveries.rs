//! webhook_deliveries: what forges told us. Stored before it is answered, processed after.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::{micros, row, words};
use super::{StoreError, Tx, View};
use crate::model::DeliveryId;

words! {
    /// What became of a delivery.
    pub enum DeliveryState = "state of a delivery" {
        /// It waits to be processed.
        Received = "received",
        /// It was processed.
        Processed = "processed",
        /// Nothing was to be done.
        Ignored = "ignored",
        /// It could not be processed.
        Failed = "failed",
    }
}

row! {
    /// A delivery.
    pub struct DeliveryRow {
        /// Its id.
        pub id: DeliveryId,
        /// The forge, by the URL.
        pub forge: String,
        /// The webhook's name, by the URL.
        pub name: String,
        /// The forge's own id.
        pub delivery_id: String,
        /// The forge's word for the event.
        pub event: String,
        /// The verified body.
        pub payload: Vec<u8>,
        /// What became of it.
        pub state: DeliveryState,
        /// The same in words.
        pub outcome: Option<String>,
        /// When it was stored.
        pub received_at: Timestamp,
        /// When it was processed.
        pub processed_at: Option<Timestamp>,
    }
}

/// What is stored of a delivery.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// The forge, by the URL.
    pub forge: String,
    /// The webhook's name, by the URL.
    pub name: String,
    /// The forge's own id.
    pub delivery_id: String,
    /// The forge's word for the event.
    pub event: String,
    /// The verified body.
    pub payload: Vec<u8>,
}

/// Stores a delivery. None: it was received before, nothing is written.
pub fn insert(tx: &Tx<'_>, new: &NewDelivery) -> Result<Option<DeliveryId>, StoreError> {
    let id = DeliveryId::from_uuid(tx.uuid());
    let rows = tx.run(
        "store a webhook delivery",
        "INSERT INTO webhook_deliveries (id, forge, name, delivery_id, event, payload, state, received_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'received', ?7)
         ON CONFLICT (forge, name, delivery_id) DO NOTHING",
        params![id, new.forge, new.name, new.delivery_id, new.event, new.payload, micros(tx.now())],
    )?;
    Ok((rows == 1).then_some(id))
}

/// The delivery of that id.
pub fn get(view: &View<'_>, id: DeliveryId) -> Result<DeliveryRow, StoreError> {
    let row = view.first("read a delivery", "SELECT * FROM webhook_deliveries WHERE id = ?1", [id])?;
    row.ok_or_else(|| StoreError::not_found(format!("delivery {id}")))
}

/// Deliveries that wait, oldest first.
pub fn waiting(view: &View<'_>, limit: u32) -> Result<Vec<DeliveryRow>, StoreError> {
    view.all(
        "read the waiting deliveries",
        "SELECT * FROM webhook_deliveries WHERE state = 'received' ORDER BY received_at, id LIMIT ?1",
        [limit],
    )
}

/// Deliveries that wait.
pub fn count_waiting(view: &View<'_>) -> Result<u64, StoreError> {
    let n: Option<i64> = view.value(
        "count the waiting deliveries",
        "SELECT COUNT(*) FROM webhook_deliveries WHERE state = 'received'",
        [],
    )?;
    Ok(n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
}

/// The newest deliveries, newest first.
pub fn recent(view: &View<'_>, limit: u32) -> Result<Vec<DeliveryRow>, StoreError> {
    view.all(
        "read the newest deliveries",
        "SELECT * FROM webhook_deliveries ORDER BY received_at DESC, id DESC LIMIT ?1",
        [limit],
    )
}

/// Notes what became of a waiting delivery, in the transaction that does it. False: somebody already did.
pub fn settle(tx: &Tx<'_>, id: DeliveryId, state: DeliveryState, outcome: &str) -> Result<bool, StoreError> {
    let rows = tx.run(
        "settle a delivery",
        "UPDATE webhook_deliveries SET state = ?2, outcome = ?3, processed_at = ?4 WHERE id = ?1 AND state = 'received'",
        params![id, state, outcome, micros(tx.now())],
    )?;
    Ok(rows == 1)
}

/// Deletes settled deliveries received before a moment; how many.
pub fn delete_before(tx: &Tx<'_>, before: Timestamp) -> Result<usize, StoreError> {
    tx.run(
        "delete old deliveries",
        "DELETE FROM webhook_deliveries WHERE received_at < ?1 AND state <> 'received'",
        [micros(before)],
    )
}
