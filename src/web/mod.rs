//! The console, the API, the webhooks: everything that speaks HTTP.
//!
//! Owns: routes, pages, answers, the mapping of errors. May use: auth, store (reads), queue, trigger,
//! secrets, logs, artifacts. Must not touch: SQL text, executors. A handler is thin: who asks, may they, one
//! call of another room, an answer.

mod access;
mod api;
mod assets;
mod blocking;
mod chain;
mod cookie;
mod cursor;
mod error;
mod etag;
mod growth;
mod explain;
mod guard;
mod headers;
mod hooks;
mod job_ref;
mod limits;
mod metrics;
mod openapi;
mod pages;
mod parts;
mod peer;
mod query;
mod range;
mod routes;
mod serve;
mod state;
mod streams;
mod view;
mod visitor;

#[cfg(test)]
mod tests;

pub use hooks::Hooks;
pub use routes::router;
pub use serve::{serve_tcp, serve_unix};
pub use state::{AppState, PublicKey, Setup};
