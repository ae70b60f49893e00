//! Copies of the built repositories, and what is read from them.
//!
//! Owns: `<data>/repos`, the bare mirrors (a cache: they may be deleted at any time), and the same reads on a
//! developer's own checkout. May use: model, platform, secrets. Must not touch: pipelines, jobs, SQL.
//! The network side is the `git` child of `platform::git`; objects are read by git2 on blocking threads.

mod archive;
mod auth;
mod between;
mod changed;
mod error;
mod fetch;
mod globs;
mod objects;
mod pack;
mod repos;
mod scratch;
mod tar;
mod worktree;

#[cfg(test)]
pub(crate) mod testing;

pub use auth::{Opened, SshPlaces, choose, credential, open, secret_of};
pub use between::Between;
pub use changed::Comparison;
pub use error::MirrorError;
pub use fetch::Mirror;
pub use objects::Objects;
pub use repos::Repos;
pub use scratch::Sealed;
pub use worktree::{Head, Skipped, TarLimits, TreeTar, WorkTree};
