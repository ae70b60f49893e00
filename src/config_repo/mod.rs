//! The config repo: fetched, read within limits, checked as a whole, applied in one transaction.
//!
//! Owns: the kinds of documents, their JSON Schemas and every check of them; the local copy of the
//! config repo; what is in force and why not something newer. May use: store, secrets' names,
//! platform, model. Must not touch: jobs.

mod check;
mod error;
mod fetch;
mod files;
mod issue;
mod node;
mod raw;
mod schema;
mod shape;
mod suggest;
mod sync;
mod yaml;

#[cfg(test)]
mod tests;

pub use check::check;
pub use error::ConfigRepoError;
pub use fetch::Mirror;
pub use files::{Files, SourceFile, from_commit, from_dir};
pub use issue::{ConfigIssue, is_private};
pub use schema::{Kind, schema};
pub use sync::{InForce, Looked, Status, Sync};
