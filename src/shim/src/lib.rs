//! The contract between a step's supervisor and everyone else.
//!
//! Owns: the formats that cross a process boundary or lie on disk (start frames, records, index,
//! control messages), the redactor that stands between a step and its log, and the fault points of all
//! processes of Danube.
//! May use: the standard library, serde, libc through [`sys`].
//! Must not touch: the network, SQL, anything of the application.
//!
//! Every format carries a version, because a shim outlives an upgrade of the package.

pub mod base64;
pub mod control;
pub mod fault;
pub mod filter;
pub mod frame;
pub mod index;
pub mod overlay;
pub mod record;
pub mod redact;
pub mod start;
#[expect(unsafe_code, reason = "the one module that calls the C library")]
pub mod sys;
pub mod transfer;
