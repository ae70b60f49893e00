//! A server of one's own in a directory of its own, for `demo` and `bench`: nothing of it stays on the machine.
//!
//! Owns: the directory, the child process, the end of both and of the executor. May use: the API over the
//! machine's socket. Must not touch: what the server is used for.

mod api;
mod farewell;
pub(super) mod git;
mod place;
mod ready;
mod server;
mod unsynced;

pub(super) use api::{Api, Refused};
pub(super) use farewell::{clear, executor_of};
pub(super) use place::{Place, address};
pub(super) use ready::in_force;
pub(super) use server::{Options, Server, last_words, socket};
