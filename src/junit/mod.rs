//! JUnit XML as test runners write it, read as the hostile input it is.
//!
//! Owns: the decoding of bytes, the dialects of the format, what is cut and what is said about it. May
//! use: model. Must not touch: files, SQL, the clock. No DTD is read and no entity is expanded; every
//! length, number and depth has a limit here.

mod collect;
mod decode;
mod parse;
mod text;

pub use collect::{CASES, Collected, Collector};
pub use parse::{Damage, parse};
