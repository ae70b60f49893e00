//! The loop over waiting deliveries: some at a time, those that failed again later.
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::model::DeliveryId;
use crate::store::deliveries::{self, DeliveryRow};

use super::process::{fail, process};
use super::{Ctx, TriggerError};

/// Deliveries that are processed at once: a hanging repository must not hold up the others.
const AT_ONCE: usize = 8;
/// Tries before a delivery is given up: about two hours.
const MAX_TRIES: u32 = 16;
/// The first pause after a failure; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// A look without a reason, for the case that a notification was lost.
const POLL: Duration = Duration::from_secs(30);
/// Every commit wakes the loop: looks are at least so far apart.
const BREATH: Duration = Duration::from_millis(50);

type Running<'a> = FuturesUnordered<BoxFuture<'a, (DeliveryId, Result<(), TriggerError>)>>;

/// What the loop remembers. Losing it costs a try, no delivery: what waits stands in the store.
#[derive(Default)]
struct Desk {
    in_hand: HashSet<DeliveryId>,
    later: HashMap<DeliveryId, Later>,
}

#[derive(Clone, Copy)]
struct Later {
    tries: u32,
    at: Timestamp,
}

/// Processes deliveries until it is told to stop; those that wait from before the start come first.
pub async fn run(ctx: Ctx, stop: CancellationToken) {
    let mut changes = ctx.store.changes();
    let mut desk = Desk::default();
    let mut running: Running<'_> = FuturesUnordered::new();
    loop {
        // Marked as seen before looking: what comes meanwhile wakes the next wait at once.
        changes.borrow_and_update();
        match desk.take(&ctx, AT_ONCE - running.len().min(AT_ONCE)).await {
            Ok(rows) => {
                for row in rows {
                    let (ctx, stop) = (&ctx, &stop);
                    running.push(Box::pin(async move { (row.id, process(ctx, &row, stop).await) }));
                }
            }
            Err(e) => tracing::warn!(error = %e, "the waiting deliveries cannot be read; trying again"),
        }
        let full = running.len() >= AT_ONCE;
        tokio::select! {
            () = stop.cancelled() => break,
            Some((id, result)) = running.next() => {
                desk.ended(&ctx, id, result).await;
                // Those that were written in the same commit share the next look.
                while let Some(Some((id, result))) = running.next().now_or_never() {
                    desk.ended(&ctx, id, result).await;
                }
            }
            _ = changes.changed(), if !full => tokio::time::sleep(BREATH).await,
            () = tokio::time::sleep(desk.pause(ctx.store.clock().now())) => {}
        }
    }
}

/// Processes everything that waits, once: the loop's body for tests.
#[cfg(test)]
pub(super) async fn run_once(ctx: &Ctx, stop: &CancellationToken) -> Vec<(DeliveryId, Result<(), TriggerError>)> {
    let rows = Desk::default().take(ctx, 1000).await.unwrap();
    let mut results = Vec::new();
    for row in rows {
        results.push((row.id, process(ctx, &row, stop).await));
    }
    results
}

impl Desk {
    /// The next deliveries to process: waiting, not in hand, their pause over.
    async fn take(&mut self, ctx: &Ctx, most: usize) -> Result<Vec<DeliveryRow>, TriggerError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let now = ctx.store.clock().now();
        let limit = u32::try_from(self.in_hand.len() + self.later.len() + most).unwrap_or(u32::MAX);
        let mut rows = ctx.store.read(move |view| deliveries::waiting(view, limit)).await?;
        rows.retain(|row| !self.in_hand.contains(&row.id) && self.later.get(&row.id).is_none_or(|l| l.at <= now));
        rows.truncate(most);
        self.in_hand.extend(rows.iter().map(|row| row.id));
        Ok(rows)
    }

    async fn ended(&mut self, ctx: &Ctx, id: DeliveryId, result: Result<(), TriggerError>) {
        self.in_hand.remove(&id);
        let Err(error) = result else {
            self.later.remove(&id);
            return;
        };
        let tries = self.later.get(&id).map_or(0, |later| later.tries) + 1;
        // A drain is no fault of the delivery and does not count.
        let draining = matches!(error, TriggerError::Draining);
        if draining || (error.is_retryable() && tries < MAX_TRIES) {
            let tries = if draining { tries - 1 } else { tries };
            let pause = FIRST_PAUSE.saturating_mul(1 << tries.min(10)).min(LONGEST_PAUSE);
            tracing::warn!(delivery.id = %id, tries, error = %error, "a delivery waits for another try");
            self.later.insert(id, Later { tries, at: ctx.store.clock().now() + pause });
            return;
        }
        self.later.remove(&id);
        tracing::error!(delivery.id = %id, tries, error = %error, "a delivery is given up");
        if let Err(e) = fail(ctx, id, &error.to_string()).await {
            tracing::warn!(delivery.id = %id, error = %e, "a delivery's failure cannot be stored");
        }
    }

    /// Until the next pause is over.
    fn pause(&self, now: Timestamp) -> Duration {
        let next = self.later.iter().filter(|(id, _)| !self.in_hand.contains(id)).map(|(_, later)| later.at).min();
        let until = next.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
        // Past already means that all hands were full: the next end wakes the loop.
        until.filter(|pause| !pause.is_zero()).unwrap_or(POLL).min(POLL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::MirrorError;
    use crate::store::deliveries::DeliveryState;
    use crate::trigger::testing::{Bench, push_body};

    fn away() -> TriggerError {
        MirrorError::Fetch { url: "https://git.example.com/a".into(), reason: "no route".into() }.into()
    }

    async fn waiting(bench: &Bench) -> DeliveryId {
        let body = push_body("https://git.example.com/a", "refs/heads/main", &"0".repeat(40));
        bench.deliver("d1", "push", &body).await.unwrap();
        bench.deliveries().await[0].id
    }

    #[tokio::test]
    async fn a_failed_delivery_is_tried_again_after_a_pause_and_given_up_in_the_end() {
        let bench = Bench::new(vec![]).await;
        let id = waiting(&bench).await;
        let mut desk = Desk::default();
        for _ in 0..MAX_TRIES {
            assert_eq!(desk.take(&bench.ctx, 8).await.unwrap().len(), 1);
            assert!(desk.take(&bench.ctx, 8).await.unwrap().is_empty());
            desk.ended(&bench.ctx, id, Err(away())).await;
            assert!(desk.take(&bench.ctx, 8).await.unwrap().is_empty());
            bench.clock.advance(LONGEST_PAUSE);
        }
        let (state, outcome) = bench.outcome(id).await;
        assert!(state == DeliveryState::Failed && outcome.contains("no route"), "{outcome}");
    }

    #[tokio::test]
    async fn a_drain_gives_no_delivery_up() {
        let bench = Bench::new(vec![]).await;
        let id = waiting(&bench).await;
        let mut desk = Desk::default();
        for _ in 0..MAX_TRIES * 2 {
            assert_eq!(desk.take(&bench.ctx, 8).await.unwrap().len(), 1);
            desk.ended(&bench.ctx, id, Err(TriggerError::Draining)).await;
            bench.clock.advance(LONGEST_PAUSE);
        }
        assert_eq!(bench.outcome(id).await.0, DeliveryState::Received);
    }
}
