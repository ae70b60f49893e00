//! attestations: the signed statement about a job, one for each that ended.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::{micros, row};
use super::{StoreError, Tx, View};
use crate::model::JobId;

row! {
    /// A signed statement.
    pub struct AttestationRow {
        /// Its job.
        pub job_id: JobId,
        /// Provenance, or the predicate type of a job record.
        pub predicate_type: String,
        /// The key that signed.
        pub key_id: String,
        /// The DSSE envelope, JSON.
        pub envelope: String,
        /// When it was stored.
        pub created_at: Timestamp,
    }
}

/// Stores the statement of a finished job and marks the job as recorded. The first one stands.
pub fn insert(tx: &Tx<'_>, job: JobId, predicate_type: &str, key_id: &str, envelope: &str) -> Result<(), StoreError> {
    let what = "store an attestation";
    let now = micros(tx.now());
    let rows = tx.run(
        what,
        "UPDATE jobs SET recorded_at = COALESCE(recorded_at, ?2) WHERE id = ?1 AND finished_at IS NOT NULL",
        params![job, now],
    )?;
    if rows == 0 {
        return Err(StoreError::not_found(format!("finished job {job}")));
    }
    tx.run(
        what,
        "INSERT INTO attestations (job_id, predicate_type, key_id, envelope, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (job_id) DO NOTHING",
        params![job, predicate_type, key_id, envelope, now],
    )?;
    Ok(())
}

/// The statement of a job, once it is signed.
pub fn find(view: &View<'_>, job: JobId) -> Result<Option<AttestationRow>, StoreError> {
    view.first("read an attestation", "SELECT * FROM attestations WHERE job_id = ?1", [job])
}
