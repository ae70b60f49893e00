//! job_images: what the names of images stand for in a job.
use rusqlite::params;

use super::sql::micros;
use super::{StoreError, Tx, View};
use crate::model::{JobId, LeaseId};

/// What a name stands for in a job, once that was found out.
pub fn find(view: &View<'_>, job: JobId, reference: &str) -> Result<Option<String>, StoreError> {
    view.value(
        "read what an image stands for",
        "SELECT image FROM job_images WHERE job_id = ?1 AND reference = ?2",
        params![job, reference],
    )
}

/// Notes what a name stands for, unless that is noted; gives what counts.
pub fn keep(
    tx: &Tx<'_>,
    lease: LeaseId,
    job: JobId,
    (reference, digest, image): (&str, &str, &str),
) -> Result<String, StoreError> {
    tx.run(
        "note what an image stands for",
        "INSERT INTO job_images (job_id, reference, digest, image, resolved_at)
         SELECT jobs.id, ?3, ?4, ?5, ?6 FROM jobs WHERE jobs.id = ?1 AND jobs.lease_id = ?2
         ON CONFLICT (job_id, reference) DO NOTHING",
        params![job, lease, reference, digest, image, micros(tx.now())],
    )?;
    find(tx, job, reference)?.ok_or_else(|| StoreError::not_found(format!("job {job} under lease {lease}")))
}
