//! Danube.

pub mod artifacts;
