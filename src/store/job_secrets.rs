//! job_secrets: encrypted values that a job made at run time (masks, captured secrets).
use rusqlite::params;

use super::sql::{micros, row};
use super::{StoreError, Tx, View};
use crate::model::{JobId, LeaseId};

row! {
    /// An encrypted value of a job.
    pub(crate) struct JobSecretRow {
        /// The job.
        pub job_id: JobId,
        /// The key of the call that made it.
        pub key: String,
        /// version | key id | nonce | ciphertext.
        pub value_encrypted: Vec<u8>,
    }
}

/// Stores a value; the first one of a key stands.
pub(crate) fn put(tx: &Tx<'_>, lease: LeaseId, job: JobId, key: &str, value: &[u8]) -> Result<(), StoreError> {
    let what = "store a value of a job";
    let rows = tx.run(
        what,
        "INSERT INTO job_secrets (job_id, key, value_encrypted, created_at)
         SELECT jobs.id, ?3, ?4, ?5 FROM jobs
         WHERE jobs.id = ?1 AND jobs.lease_id = ?2 AND jobs.status = 'running'
         ON CONFLICT (job_id, key) DO NOTHING",
        params![job, lease, key, value, micros(tx.now())],
    )?;
    if rows == 0 && !of_job(tx, job)?.iter().any(|row| row.key == key) {
        return Err(StoreError::not_found(format!("running job {job} under lease {lease}")));
    }
    Ok(())
}

/// The values of a job.
pub(crate) fn of_job(view: &View<'_>, job: JobId) -> Result<Vec<JobSecretRow>, StoreError> {
    view.all("read the values of a job", "SELECT * FROM job_secrets WHERE job_id = ?1 ORDER BY key", [job])
}

/// Every value of every job: for a change of the encryption key.
pub(crate) fn all(view: &View<'_>) -> Result<Vec<JobSecretRow>, StoreError> {
    view.all("read the values of jobs", "SELECT * FROM job_secrets ORDER BY job_id, key", [])
}

/// Replaces the encryption of a value, not the value.
pub(crate) fn reencrypt(tx: &Tx<'_>, job: JobId, key: &str, value: &[u8]) -> Result<(), StoreError> {
    tx.run(
        "encrypt a value of a job anew",
        "UPDATE job_secrets SET value_encrypted = ?3 WHERE job_id = ?1 AND key = ?2",
        params![job, key, value],
    )?;
    Ok(())
}

/// Forgets the values of a job.
pub(crate) fn delete_of_job(tx: &Tx<'_>, job: JobId) -> Result<(), StoreError> {
    tx.run("delete the values of a job", "DELETE FROM job_secrets WHERE job_id = ?1", [job])?;
    Ok(())
}
