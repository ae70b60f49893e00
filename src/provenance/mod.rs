//! Provenance: what Danube signs about a job, and how anybody checks it.
//!
//! Owns the in-toto statement with the SLSA predicate, the signed job record of every other end,
//! the DSSE envelope, the signing key, and the order of checks behind `danube verify`.
//!
//! May use `model` and the digest of `artifacts`. Must not touch the clock, the network, SQL or
//! async code: facts, times and key material come in as values. Only `keys` reads and writes
//! files, and only key files, by `platform::atomic`.

mod dsse;
mod error;
mod facts;
mod json;
mod key;
mod keys;
mod record;
mod report;
mod source;
mod statement;
mod verify;
mod view;

pub use dsse::{MAX_ENVELOPE, PAYLOAD_TYPE, pae, sign};
pub use error::{BadPem, KeyError, Refusal, TooLarge};
pub use facts::{Builder, ConfigRevision, Image, Isolation, JobFacts, LogFile, Output, Source, builder_id};
pub use key::{PublicKey, SigningKey};
pub use keys::{load, load_or_create, load_public};
pub use record::{Continued, Ending, RECORD_TYPE, ReusedStep, job_record};
pub use report::{Check, Outcome, Report};
pub use source::ExpectedSource;
pub use statement::{BUILD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE, log_manifest, provenance};
pub use verify::{Expected, verify};
