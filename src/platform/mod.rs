//! What the machine gives: time, ids, tasks, durable files and the fault points of what becomes durable.
//!
//! Owns: the only wall clock and random source. May use: model. Must not touch: product words.

mod addresses;
pub mod atomic;
mod clock;
mod data_dir;
pub mod git;
mod ids;
mod tasks;

pub use danube_shim::fault;

pub use addresses::not_public;
pub use clock::{Clock, ManualClock, SystemClock};
pub use data_dir::{DataDir, Trouble};
pub use ids::{Ids, SeededIds, SystemIds, random_token};
pub use tasks::Tasks;
