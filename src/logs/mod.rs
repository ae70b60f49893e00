//! The logs of a job: one append-only file per step attempt, its index, and views over them.
//!
//! Owns: stream files and their names, ranges, lines, following, the job's log in order of time,
//! hashes. May use: model, platform, the shim's contract. Must not touch: SQL.
//!
//! The shim writes; this room only reads, and every offset it gives stays valid, because a log only
//! grows. All but [`tail`] wait for the disk: call them through `spawn_blocking`.

mod error;
#[cfg(test)]
mod fixture;
mod job_log;
mod lines;
mod merge;
mod name;
mod pieces;
mod stream_file;
mod tail;

pub use danube_shim::index::Stream;
pub use error::LogError;
pub use job_log::{JobLog, JobPiece};
pub use lines::Line;
pub use name::StreamName;
pub use pieces::Piece;
pub use stream_file::{Hash, StreamFile};
pub use tail::tail;
