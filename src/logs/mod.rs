//! The logs of a job: one append-only file per step attempt, its index, and views over them.
//!
//! Owns: stream files and their names, ranges, lines, windows, search, colours as data, following, the
//! job's log in order of time, hashes. May use: model, platform, the shim's contract. Must not touch:
//! SQL, HTML.
//!
//! The shim writes; this room only reads, and every offset it gives stays valid, because a log only
//! grows. All but [`tail`] wait for the disk: call them through `spawn_blocking`.

mod error;
mod escape;
mod first_error;
#[cfg(test)]
mod fixture;
mod job_log;
mod line_index;
mod line_indexes;
mod lines;
mod merge;
mod name;
mod pieces;
mod query;
mod search;
mod source;
mod stream_file;
mod styled;
mod tail;
mod times;
mod traceback;
mod walk;
mod weight;
mod window;

pub use danube_shim::index::Stream;
pub use error::LogError;
pub use escape::turns;
pub use first_error::FirstError;
pub use job_log::{JobLog, JobPiece};
pub use line_indexes::LineIndexes;
pub use lines::Line;
pub use name::StreamName;
pub use pieces::Piece;
pub use query::{Meaning, Query, QueryError};
pub use search::{Found, Hit, Limits, search};
pub use stream_file::{Hash, StreamFile};
pub use styled::{Colour, Span, Style, plain, spans};
pub use tail::tail;
pub use walk::Spot;
pub use weight::looks_wrong;
pub use window::{Place, Row, Window};
