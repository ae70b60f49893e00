//! Danube: the control plane of a self-hosted CI/CD appliance, one binary.
//!
//! The rooms stand in the order of the flow; a room uses only rooms above it (ARCHITECTURE.md has
//! the map, `tests/it/tidy.rs` keeps it true).

pub mod model;
pub mod platform;
pub mod config;
pub mod store;
pub mod secrets;
pub mod mirror;
pub mod logs;
pub mod artifacts;
pub mod junit;
pub mod provenance;
pub mod config_repo;
pub mod queue;
pub mod trigger;
pub mod egress;
pub mod images;
pub mod registry;
pub mod executor;
pub mod orchestrator;
pub mod coordinator;
pub mod auth;
pub mod web;
pub mod cli;

#[cfg(test)]
mod golden;
