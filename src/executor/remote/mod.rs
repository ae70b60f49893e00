//! The border of privileges: the executor's verbs over a Unix socket.
//!
//! Frames are a 32-bit little-endian length and JSON, at most 1 MiB; up to 16 descriptors ride on a
//! frame's first byte. The peer's uid is checked at accept; `hello` comes first.

mod client;
mod protocol;
mod replace;
mod server;
mod wire;

pub use client::Client;
pub use protocol::VERSION;
pub use replace::{Standing, leave_unless};
pub use server::{ServeOptions, serve};
