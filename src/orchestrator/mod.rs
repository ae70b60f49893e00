//! Drives one leased attempt of a job: workspace, coordinator, steps, end. The same for a server
//! and for a run on a developer's machine.
//!
//! Owns: the journal's rules, the life of steps, the job's socket, the sealed end. May use: queue,
//! store, executor, logs, artifacts, secrets, mirror, provenance. Must not touch: HTTP, gRPC types.
//!
//! Everything is derived from rows: a master that was killed is followed by one that does the same
//! again and meets its own work. Calls of the danubefile come in through [`LiveJob`]; the work they
//! ask for belongs to the job, not to the connection that asked.

mod artifact_calls;
mod attempt;
mod attest;
mod bounds;
mod builds;
mod cache_bounds;
mod caches;
mod call;
mod canonical;
mod changed;
mod conclude;
mod context;
mod coordinate;
mod credential;
mod culprit;
mod declare;
mod drive;
mod egress;
mod engine;
mod error;
mod forms;
mod images;
mod journal;
mod kept;
mod leftovers;
mod live;
mod masks;
mod origin;
mod outcome;
mod output;
mod pulling;
mod reach;
mod reason;
mod recording;
mod recover;
mod report_calls;
mod reuse;
mod schedule;
mod services;
mod spec;
mod steps;
mod values;
mod watching;

pub use artifact_calls::{Kept, Upload};
pub use attest::attest_pending;
pub use builds::BuildRequest;
pub use cache_bounds::{CacheBounds, CacheGate, sweep_caches};
pub use call::{Cache, Call, Capture, Retry, StepAnswer, StepRequest, Value};
pub use canonical::Canonical;
pub use changed::{Base, BaseKind, Changed};
pub use context::Context;
pub use credential::JobKey;
pub use culprit::{NONDETERMINISTIC, culprit, failing, newest};
pub use declare::Declaration;
pub use drive::{Driven, drive};
pub use engine::{Bounds, BuilderFacts, Dirs, Engine, Serve};
pub use error::{CallError, DriveError};
pub use images::{Images, RegistrySource};
pub use kept::{Keeping, evict, keep_in_bounds};
pub use leftovers::remove_temporary;
pub use live::LiveJob;
pub use origin::{MirrorOrigin, Origin, OriginError, WorkTreeOrigin};
pub use outcome::SHORT_OF_MEMORY;
pub use pulling::keep_layers_in_bounds;
pub use recording::{NoAnswer, RecordedCall, Recording, Stop};
pub use recover::recover;
pub use report_calls::{Annotation, TestSummary};
pub use schedule::Scheduler;
pub use services::{ServiceAnswer, ServiceEnd, ServiceRequest};

pub use crate::executor::Root;

#[cfg(test)]
pub(crate) mod tests;
