//! annotations: what a danubefile wants people to read on top of its job.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::{micros, row, words};
use super::{StoreError, Tx, View};
use crate::model::call::Place;
use crate::model::{JobId, LeaseId};

words! {
    /// How loud an annotation is.
    pub enum AnnotationLevel = "level of an annotation" {
        /// Good to know.
        Info = "info",
        /// Somebody should look.
        Warning = "warning",
        /// Something is wrong.
        Error = "error",
    }
}

row! {
    /// An annotation.
    pub struct AnnotationRow {
        /// Its place in the order of arrival.
        pub id: i64,
        /// How loud it is.
        pub level: AnnotationLevel,
        /// Its text, redacted; render it before it is shown.
        pub markdown: String,
        /// The danubefile's file.
        pub file: String,
        /// The line, from 1; 0: unknown.
        pub line: u32,
        /// When it was made.
        pub created_at: Timestamp,
    }
}

/// What is recorded of an annotation.
#[derive(Debug, Clone)]
pub struct NewAnnotation {
    /// Its job.
    pub job_id: JobId,
    /// The key of its call.
    pub key: String,
    /// How loud it is.
    pub level: AnnotationLevel,
    /// Its text, redacted.
    pub markdown: String,
    /// The line that made it.
    pub place: Place,
}

/// Records an annotation; the same call again changes nothing.
pub fn insert(tx: &Tx<'_>, lease: LeaseId, new: &NewAnnotation) -> Result<(), StoreError> {
    tx.run(
        "record an annotation",
        "INSERT INTO annotations (job_id, key, level, markdown, file, line, created_at)
         SELECT jobs.id, ?3, ?4, ?5, ?6, ?7, ?8
         FROM jobs WHERE jobs.id = ?1 AND jobs.lease_id = ?2 AND jobs.status = 'running'
         ON CONFLICT (job_id, key) DO NOTHING",
        params![new.job_id, lease, new.key, new.level, new.markdown, new.place.file, new.place.line, micros(tx.now())],
    )?;
    Ok(())
}

/// Shows what a call of the parent said on the rerun too.
pub fn take_over(tx: &Tx<'_>, lease: LeaseId, parent: JobId, job: JobId, key: &str) -> Result<(), StoreError> {
    tx.run(
        "take over an annotation",
        "INSERT INTO annotations (job_id, key, level, markdown, file, line, created_at)
         SELECT jobs.id, old.key, old.level, old.markdown, old.file, old.line, ?5
         FROM annotations AS old JOIN jobs ON jobs.id = ?2
         WHERE old.job_id = ?1 AND old.key = ?3 AND jobs.lease_id = ?4 AND jobs.status = 'running'
         ON CONFLICT (job_id, key) DO NOTHING",
        params![parent, job, key, lease, micros(tx.now())],
    )?;
    Ok(())
}

/// Every annotation of a job, in the order of arrival.
pub fn of_job(view: &View<'_>, job: JobId) -> Result<Vec<AnnotationRow>, StoreError> {
    view.all("read the annotations of a job", "SELECT * FROM annotations WHERE job_id = ?1 ORDER BY id", [job])
}

/// How many annotations a job has.
pub fn count(view: &View<'_>, job: JobId) -> Result<u64, StoreError> {
    let n: Option<i64> =
        view.value("count the annotations of a job", "SELECT COUNT(*) FROM annotations WHERE job_id = ?1", [job])?;
    Ok(n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
}

/// Forgets what a lost attempt said: the next one says it again.
pub(crate) fn delete_of_job(tx: &Tx<'_>, job: JobId) -> Result<(), StoreError> {
    tx.run("delete the annotations of a lost attempt", "DELETE FROM annotations WHERE job_id = ?1", [job])?;
    Ok(())
}
