//! Whole-program tests: the real binary on loopback, with real containers, git and files.
//!
//! All are modules of this one binary. They need root (containers) and the shim that `make test`
//! builds; a missing part fails the test that needs it with what to do.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails at once, with the place")]

mod console;
mod bench;
mod caches;
mod demo;
mod docs;
mod egress;
mod executor;
mod images;
mod isolation;
mod kept;
mod leftovers;
mod openapi;
mod points;
mod project;
mod provenance;
mod registry;
mod replay;
mod rootless;
mod run;
mod server;
mod services;
mod support;
mod takeover;
mod tidy;
mod trees;
