//! Why jobs come to be: deliveries of forges, schedules, people.
//!
//! Owns: which event starts which pipeline. May use: queue, config repo's model, secrets, mirror, store. Must not
//! touch: executors, HTTP. A delivery is a reason to look at the repository, never the truth about it.

mod delivery;
mod forge;
mod github;
mod headers;
pub mod matching;
pub mod repository;
pub mod schedule;
mod signature;

pub use delivery::{Delivery, DeliveryKind, Push, Unparsable};
pub use forge::Forge;
pub use headers::Headers;
pub use signature::BadSignature;
