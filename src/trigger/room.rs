//! How many deliveries may still come in before those that wait are counted again.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Deliveries that may wait; above it forges are asked to come again.
const MAX_WAITING: u64 = 20_000;

/// Places for deliveries. Counting them at each delivery would cost more than to store it, and they only get more
/// by deliveries: what was free once may be taken without another look.
#[derive(Debug, Clone, Default)]
pub struct Room(Arc<AtomicU64>);

impl Room {
    /// Takes a place; `waiting` counts, where no place is known to be free. False: there is none.
    pub(super) fn take<E>(&self, waiting: impl FnOnce() -> Result<u64, E>) -> Result<bool, E> {
        let take = |free: u64| free.checked_sub(1);
        if self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            return Ok(true);
        }
        let free = MAX_WAITING.saturating_sub(waiting()?);
        self.0.store(free.saturating_sub(1), Ordering::Relaxed);
        Ok(free > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_wait_than_may_and_a_place_that_came_free_is_found() {
        let room = Room::default();
        let mut waiting = MAX_WAITING - 3;
        let mut taken = 0;
        while room.take(|| Ok::<_, ()>(waiting)).unwrap() {
            waiting += 1;
            taken += 1;
        }
        assert_eq!((taken, waiting), (3, MAX_WAITING));
        assert!(room.take(|| Ok::<_, ()>(MAX_WAITING - 1)).unwrap());
        assert!(!room.take(|| Ok::<_, ()>(MAX_WAITING)).unwrap());
        assert!(room.take(|| Err::<u64, _>("unreadable")).is_err());
    }
}
