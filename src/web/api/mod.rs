//! The API under `/api/v1`: JSON in and out, the same decisions as the console.

pub(super) mod annotations;
pub(super) mod artifacts;
pub(super) mod attestation;
pub(super) mod audit;
mod body;
pub(super) mod caches;
pub(super) mod cancel;
pub(super) mod config;
pub(super) mod details;
pub(super) mod egress;
pub(super) mod events;
mod follow;
pub(super) mod health;
pub(super) mod job_json;
pub(super) mod jobs;
pub(super) mod keys;
pub(super) mod links;
pub(super) mod log;
pub(super) mod log_lines;
pub(super) mod me;
pub(super) mod pipeline;
pub(super) mod pipelines;
pub(super) mod registry;
pub(super) mod replay;
pub(super) mod rerun;
pub(super) mod secrets;
pub(super) mod summary;
pub(super) mod teams;
mod test_cursor;
pub(super) mod test_json;
pub(super) mod tests;
pub(super) mod tokens;
pub(super) mod trigger;
pub(super) mod webhooks;

pub(super) use follow::Cursor;
pub(super) use test_cursor::{Cases, Results};
