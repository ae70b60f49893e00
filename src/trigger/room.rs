//! How many more deliveries may wait, without counting them at each one.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::{StoreError, Tx, deliveries};

/// Deliveries that wait at most; a forge sends the next ones again.
pub(super) const MAX_WAITING: u64 = 20_000;

/// After a count, this many more fit for certain: deliveries that are settled meanwhile only make room.
#[derive(Debug, Clone, Default)]
pub struct Room(Arc<AtomicU64>);

impl Room {
    /// Takes a place for a delivery in the transaction that stores it. False: too many wait.
    pub(super) fn take(&self, tx: &Tx<'_>) -> Result<bool, StoreError> {
        let less = |left: u64| left.checked_sub(1);
        if self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
            return Ok(true);
        }
        // There is one writer: nobody stores between this count and the row that it is for.
        let free = MAX_WAITING.saturating_sub(deliveries::count_waiting(tx)?);
        self.0.store(free.saturating_sub(1), Ordering::Relaxed);
        Ok(free > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Durability;
    use crate::store::deliveries::{DeliveryState, NewDelivery};
    use crate::store::testing::{settings, with};

    fn delivery(n: u64) -> NewDelivery {
        NewDelivery {
            forge: "github".to_owned(),
            name: "default".to_owned(),
            delivery_id: n.to_string(),
            event: "push".to_owned(),
            payload: Vec::new(),
        }
    }

    #[tokio::test]
    async fn no_more_wait_than_may_and_what_is_settled_makes_room() {
        let test = with(settings(Vec::new())).await;
        let (room, other) = (Room::default(), Room::default());
        let fill = move |tx: &Tx<'_>| {
            let mut first = None;
            for n in 0..MAX_WAITING {
                assert!(room.take(tx)?, "{n}");
                first = first.or(deliveries::insert(tx, &delivery(n))?);
            }
            assert!(!room.take(tx)?);
            let first = first.expect("one was stored");
            deliveries::settle(tx, first, DeliveryState::Ignored, "nothing to do")?;
            assert!(room.take(tx)?);
            deliveries::insert(tx, &delivery(MAX_WAITING))?;
            // A server that starts anew counts first.
            assert!(!room.take(tx)? && !other.take(tx)?);
            Ok(())
        };
        test.store.write("test", Durability::Acknowledged, fill).await.unwrap();
    }
}
