//! Following what the executor runs: until it ends, until its time is up, until the job ends.
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Engine, LiveJob};
use crate::executor::{ExecutorError, Signal, StepAt, StepEnd, StepState};

/// Between two tries at an executor that gives no answer.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

/// The longest pause between two tries at an executor that gives no answer.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long an executor gets to say that it did not start an attempt, before the attempt counts as started.
const SETTLE: Duration = Duration::from_secs(2);

/// What was seen of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It ended by itself.
    Ended(StepEnd),
    /// It was ended because its own time was up; its record, where there is one.
    TimedOut(Option<StepEnd>),
    /// It was ended with its job.
    Stopped,
    /// The executor says that nobody knows its end.
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

/// Asks without an end while the executor gives errors; who waits bounds it.
pub(super) async fn insist<T, F, Fut>(engine: &Engine, what: &str, mut ask: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, ExecutorError>>,
{
    let mut pause = PAUSE.min(engine.bounds.patience);
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => tracing::warn!(%error, "the executor could not {what}; asking again"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What the executor itself says of an attempt: its silence says nothing.
async fn observe(engine: &Engine, at: StepAt) -> StepState {
    insist(engine, "say what became of an attempt", || engine.executor.observe(at)).await
}

/// Starts an attempt. Well also where nobody can say that it was not started: it is then to be watched.
pub(super) async fn ensure<F, Fut>(engine: &Engine, at: StepAt, mut start: F) -> Result<(), ExecutorError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<(), ExecutorError>>,
{
    let until = Instant::now() + engine.bounds.patience;
    loop {
        let Err(error) = start().await else { return Ok(()) };
        if !error.is_retryable() {
            return Err(error);
        }
        tracing::warn!(%at, %error, "the start of an attempt has no clear answer; looking at what became of it");
        let settle = SETTLE.min(engine.bounds.patience);
        match timeout(settle, observe(engine, at)).await {
            Ok(StepState::NotStarted) if matches!(error, ExecutorError::Lost(_)) && Instant::now() < until => {
                sleep(PAUSE.min(engine.bounds.patience)).await;
            }
            Ok(StepState::NotStarted) => return Err(error),
            Ok(_) | Err(_) => return Ok(()),
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
        if state.is_none() && timed_out {
            // Another attempt may follow: this one must be known to be over, or the job ends.
            state = tokio::select! {
                biased;
                () = self.closing.cancelled() => return Seen::Stopped,
                state = async { self.kill(at).await; observed.await } => Some(state),
            };
        }
        let end = match state {
            Some(StepState::Ended(end)) => Some(end),
            _ => None,
        };
        if timed_out { Seen::TimedOut(end) } else { Seen::Stopped }
    }

    /// Makes sure that an attempt whose end nobody knows runs no more; ends early when the job does.
    pub(super) async fn put_down(&self, at: StepAt) {
        tokio::select! {
            biased;
            () = self.closing.cancelled() => {}
            () = self.kill(at) => {}
        }
    }

    async fn kill(&self, at: StepAt) {
        insist(&self.engine, "end an attempt", || self.engine.executor.signal(at, Signal::Kill)).await;
    }

    pub(super) async fn signal(&self, at: StepAt, signal: Signal) {
        // What can't be signalled has ended, or is ended with the job's teardown.
        if let Err(error) = persist(&self.engine, || self.engine.executor.signal(at, signal)).await {
            tracing::warn!(%at, %error, "could not signal an attempt");
        }
    }
}
