//! The gRPC contract between a danubefile and the master, as Rust types.
//!
//! `src/generated/danube.v1.rs` is committed, so that a build needs no protobuf compiler; the test
//! `generated_code_is_current` writes it again with protox and compares.

/// Version 1 of the contract (`danube/v1/coordinator.proto`).
#[allow(clippy::all, reason = "generated code")]
pub mod v1 {
    include!("generated/danube.v1.rs");
}
