//! Answers the questions of jobs for names: what is in force leads somewhere, all else is refused and asked of nobody.
//!
//! Owns: DNS messages, the way to the nameservers of the machine, what an answer lets a job do. May use: model,
//! platform. Must not touch: rows, executors, pipelines; a `Desk` says what is in force and is told what was asked.
//!
//! Everything that arrives here was written by others, steps and nameservers alike: it is read within bounds, and
//! no part of a nameserver's answer but its addresses reaches a job.

mod desk;
mod message;
mod serve;
mod upstream;

pub use desk::{Denial, Denied, Desk};
pub use serve::serve;
pub use upstream::{Upstream, nameservers};
