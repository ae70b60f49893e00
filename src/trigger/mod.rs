//! Why jobs come to be: deliveries of forges, schedules, people.
//!
//! Owns: which event starts which pipeline. May use: queue, config repo's model, secrets, mirror, store. Must not
//! touch: executors, HTTP. A delivery is a reason to look at the repository, never the truth about it.

mod accept;
pub mod cron;
mod ctx;
mod delivery;
pub mod drain;
mod enqueue;
mod error;
mod forge;
mod github;
mod headers;
mod manual;
pub mod matching;
mod no_workspace;
mod process;
pub mod repository;
mod rerun;
mod room;
mod run;
pub mod schedule;
mod signature;

#[cfg(test)]
mod testing;

pub use accept::{Accepted, MAX_BODY, Rejected, accept};
pub use ctx::Ctx;
pub use delivery::{Delivery, DeliveryKind, Push, Unparsable};
pub use error::TriggerError;
pub use forge::Forge;
pub use headers::Headers;
pub use manual::{Ask, Target, manual};
pub use no_workspace::no_workspace;
pub use process::{fail, process};
pub use rerun::{Rerun, RerunFrom, rerun_in};
pub use room::Room;
pub use run::run;
pub use signature::BadSignature;
