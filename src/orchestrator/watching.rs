//! Following what the executor runs: until it ends, until its time is up, until the job ends.
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::{Engine, LiveJob};
use crate::executor::{ExecutorError, Signal, StepAt, StepEnd, StepState};

/// Between two tries at an executor that gives no answer.
const PAUSE: Duration = Duration::from_millis(500);

/// What was seen of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It ended by itself.
    Ended(StepEnd),
    /// It was ended because its own time was up; its record, where there is one.
    TimedOut(Option<StepEnd>),
    /// It was ended with its job.
    Stopped,
    /// Nobody knows its end.
    Lost,
    /// It was not started.
    NotStarted,
}

/// How an attempt is asked to end when its job ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manners {
    /// SIGTERM first.
    Term,
    /// Its refused calls tell it; it is given the same time.
    Calls,
}

/// Asks the executor again while it gives no answer: it may be restarted like the master.
pub(super) async fn persist<T, F, Fut>(engine: &Engine, mut ask: F) -> Result<T, ExecutorError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, ExecutorError>>,
{
    let until = Instant::now() + engine.bounds.patience;
    loop {
        match ask().await {
            Err(ExecutorError::Lost(reason)) if Instant::now() < until => {
                tracing::warn!(reason, "the executor gives no answer; asking again");
                sleep(PAUSE.min(engine.bounds.patience)).await;
            }
            answer => return answer,
        }
    }
}

async fn observe(engine: &Engine, at: StepAt) -> StepState {
    match persist(engine, || engine.executor.observe(at)).await {
        Ok(state) => state,
        Err(error) => {
            tracing::error!(%at, %error, "the executor does not know what became of an attempt");
            StepState::Lost
        }
    }
}

impl LiveJob {
    /// Follows a started attempt to its end, and brings that about where it is due.
    pub(super) async fn watch(&self, at: StepAt, limit: Option<Duration>, manners: Manners) -> Seen {
        let observed = observe(&self.engine, at);
        tokio::pin!(observed);
        let due = async {
            match limit {
                Some(limit) => sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let timed_out = tokio::select! {
            biased;
            state = &mut observed => return match state {
                StepState::Ended(end) => Seen::Ended(end),
                StepState::Lost => Seen::Lost,
                StepState::NotStarted => Seen::NotStarted,
            },
            () = self.closing.cancelled() => false,
            () = due => true,
        };
        if timed_out || manners == Manners::Term {
            self.signal(at, Signal::Term).await;
        }
        let grace = Instant::now() + self.engine.bounds.grace;
        let mut state = timeout_at(grace, &mut observed).await.ok();
        if state.is_none() {
            self.signal(at, Signal::Kill).await;
            let until = Instant::now() + self.engine.bounds.patience;
            state = timeout_at(until, &mut observed).await.ok();
        }
        let end = match state {
            Some(StepState::Ended(end)) => Some(end),
            _ => None,
        };
        if timed_out { Seen::TimedOut(end) } else { Seen::Stopped }
    }

    async fn signal(&self, at: StepAt, signal: Signal) {
        // What can't be signalled has ended, or is ended with the job's teardown.
        if let Err(error) = persist(&self.engine, || self.engine.executor.signal(at, signal)).await {
            tracing::warn!(%at, %error, "could not signal an attempt");
        }
    }
}
