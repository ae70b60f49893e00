//! Artifacts: the files that a job leaves behind.
//!
//! Owns the files under `artifacts/<job id>/`: how bytes arrive (streamed, hashed, limited),
//! how a file appears (whole or not at all), how a part of it is read, how it goes away.
//! A file is stored under its SHA-256; the name that people see lives in the job's row, so no
//! name from a job ever becomes a path.
//!
//! May use `std` and `platform`. Must not touch SQL, pipelines or the network, and never unpacks
//! an archive. Every call blocks: callers on async threads wrap it in `spawn_blocking`.

mod digest;
mod error;
mod files;
mod name;
mod writer;

pub use digest::Digest;
pub use error::Error;
pub use files::{OnDisk, link, list, open_range, remove, remove_all, sweep};
pub use name::Name;
pub use writer::{Kind, Stored, Writer, begin};
