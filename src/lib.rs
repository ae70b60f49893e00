//! Danube: the control plane of a self-hosted CI/CD appliance, one binary.
//!
//! The rooms stand in the order of the flow; a room uses only rooms above it (ARCHITECTURE.md has
//! the map, `tests/it/tidy.rs` keeps it true).

pub mod artifacts;
pub mod auth;
pub mod cli;
pub mod config;
pub mod config_repo;
pub mod coordinator;
pub mod executor;
pub mod logs;
pub mod mirror;
pub mod model;
pub mod orchestrator;
pub mod platform;
pub mod provenance;
pub mod queue;
pub mod secrets;
pub mod store;
pub mod trigger;
pub mod web;

#[cfg(test)]
mod golden;
