//! The words of the product as types: ids, names, states, events, settings, principals.
//!
//! Owns: `job::next`, the one function that moves a job. May use: std, serde. Must not touch: I/O,
//! the clock, tokio, SQL.

pub mod action;
pub mod cache;
pub mod call;
pub mod egress;
pub mod image;
mod ids;
pub mod job;
mod nearest;
pub mod param;
mod secret;
pub mod settings;
pub mod step;
pub mod test;
pub mod trigger;

pub use action::{Action, Principal};
pub use ids::{
    ArtifactId, DeliveryId, JobId, LeaseId, ParseIdError, PipelineId, SecretId, SessionId, StepId, TeamId, TokenId,
    UserId,
};
pub use nearest::nearest;
pub use secret::Secret;
