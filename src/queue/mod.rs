//! The queue: the life of every job, from its trigger to its end.
//!
//! Owns: every change of a job's state, each asked of `model::job::next` and written in one
//! transaction that checks the lease. May use: model, platform, store. Must not touch: executors, HTTP.
//!
//! Functions that take a `Tx` join the transaction of what caused them (a delivery, a tick).

mod cancel;
mod claim;
mod end;
mod enqueue;
mod error;
mod history;
mod lease;
mod parked;
mod waiting;

pub use cancel::{Cancelled, SYSTEM, cancel, cancel_in};
pub use claim::{Claimed, Limits, claim, next_run_after};
pub use end::{Lost, finish, lost, lost_to_restart};
pub use enqueue::{Enqueued, NewJob, enqueue, enqueue_in};
pub use error::QueueError;
pub use history::past_in;
pub use lease::{Lease, adopt, renew, unheld};
pub use parked::{declare, park, unpark};
pub use waiting::waiting_reason;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
