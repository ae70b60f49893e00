//! journal: every call of a danubefile and its answer, by key.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::{micros, row, words};
use super::{StoreError, Tx, View};
use crate::model::call::Place;
use crate::model::{JobId, LeaseId};

words! {
    /// Whether a call has its answer.
    pub enum CallState = "state of a call" {
        /// It is being worked on.
        Open = "open",
        /// Its answer stands.
        Done = "done",
    }
}

words! {
    /// What a rerun from failed made of a call.
    pub enum Reused = "reuse of a call" {
        /// Nothing: it ran.
        No = "no",
        /// The parent's answer stands.
        Taken = "taken",
        /// It was made again, and what follows could still be taken.
        Anew = "anew",
    }
}

row! {
    /// A recorded call.
    pub struct JournalRow {
        /// Its job.
        pub job_id: JobId,
        /// Its key, unique in the job.
        pub key: String,
        /// Its place in the order of arrival, from 1.
        pub seq: u64,
        /// The hash of its canonical fields.
        pub call_hash: String,
        /// The file of the danubefile's line.
        pub file: String,
        /// The line, from 1; 0: unknown.
        pub line: u32,
        /// The request as JSON, redacted.
        pub request: String,
        /// Open or done.
        pub state: CallState,
        /// The answer's bytes, once it is done.
        pub answer: Option<Vec<u8>>,
        /// When it arrived first.
        pub created_at: Timestamp,
        /// When it was answered.
        pub done_at: Option<Timestamp>,
        /// What a rerun from failed made of it.
        pub reused: Reused,
    }
}

impl JournalRow {
    /// The line that made the call.
    pub fn place(&self) -> Place {
        Place { file: self.file.clone(), line: self.line }
    }
}

/// The call at a key, if it was made.
pub fn find(view: &View<'_>, job: JobId, key: &str) -> Result<Option<JournalRow>, StoreError> {
    view.first("read the journal", "SELECT * FROM journal WHERE job_id = ?1 AND key = ?2", params![job, key])
}

/// The whole journal of a job, in order of arrival.
pub fn of_job(view: &View<'_>, job: JobId) -> Result<Vec<JournalRow>, StoreError> {
    view.all("read the journal", "SELECT * FROM journal WHERE job_id = ?1 ORDER BY seq", [job])
}

/// So many calls behind a place in the order of arrival; 0: from the first.
pub fn page(view: &View<'_>, job: JobId, after: u64, limit: u32) -> Result<Vec<JournalRow>, StoreError> {
    view.all(
        "read the journal",
        "SELECT * FROM journal WHERE job_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
        params![job, i64::try_from(after).unwrap_or(i64::MAX), limit],
    )
}

/// Calls recorded for a job: moves on when a coordinator makes progress.
pub fn count(view: &View<'_>, job: JobId) -> Result<u64, StoreError> {
    let n: Option<i64> = view.value("count the journal", "SELECT COUNT(*) FROM journal WHERE job_id = ?1", [job])?;
    Ok(n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
}

/// What is recorded of a call when it arrives.
#[derive(Debug, Clone)]
pub struct NewCall {
    /// Its job.
    pub job_id: JobId,
    /// Its key.
    pub key: String,
    /// The hash of its canonical fields.
    pub call_hash: String,
    /// The line that made it.
    pub place: Place,
    /// The request as JSON, redacted.
    pub request: String,
}

/// Records a call as open; a call that is there already is returned as it stands, whatever its hash.
///
/// The caller compares the hash: a difference is "nondeterministic pipeline".
pub fn open(tx: &Tx<'_>, lease: LeaseId, call: &NewCall) -> Result<JournalRow, StoreError> {
    if let Some(known) = find(tx, call.job_id, &call.key)? {
        return Ok(known);
    }
    let row = tx.first(
        "record a call",
        "INSERT INTO journal (job_id, key, seq, call_hash, file, line, request, state, created_at)
         SELECT jobs.id, ?3, COALESCE((SELECT MAX(seq) FROM journal WHERE job_id = ?1), 0) + 1, ?4, ?5, ?6, ?7,
            'open', ?8
         FROM jobs WHERE jobs.id = ?1 AND jobs.lease_id = ?2 AND jobs.status = 'running'
         RETURNING *",
        params![
            call.job_id,
            lease,
            call.key,
            call.call_hash,
            call.place.file,
            call.place.line,
            call.request,
            micros(tx.now())
        ],
    )?;
    row.ok_or_else(|| StoreError::not_found(format!("running job {} under lease {lease}", call.job_id)))
}

/// Records the answer of a call. The first answer stands.
pub fn answer(tx: &Tx<'_>, lease: LeaseId, job: JobId, key: &str, answer: &[u8]) -> Result<(), StoreError> {
    let rows = tx.run(
        "record an answer",
        "UPDATE journal SET
            answer = CASE WHEN state = 'done' THEN answer ELSE ?4 END,
            done_at = COALESCE(done_at, ?5), state = 'done'
         WHERE job_id = ?1 AND key = ?3
         AND EXISTS (SELECT 1 FROM jobs WHERE jobs.id = ?1 AND jobs.lease_id = ?2 AND jobs.status = 'running')",
        params![job, lease, key, answer, micros(tx.now())],
    )?;
    if rows == 1 {
        Ok(())
    } else {
        Err(StoreError::not_found(format!("call {key} of running job {job} under lease {lease}")))
    }
}

/// Forgets the journal of a job whose attempt was lost: the next attempt starts in an empty workspace.
pub(crate) fn clear(tx: &Tx<'_>, job: JobId) -> Result<(), StoreError> {
    tx.run("clear a journal", "DELETE FROM journal WHERE job_id = ?1", [job])?;
    Ok(())
}

/// Records a call with the answer that it had in the parent: the heart of "rerun from failed".
pub fn take_over(tx: &Tx<'_>, lease: LeaseId, parent: JobId, call: &NewCall) -> Result<JournalRow, StoreError> {
    let row = tx.first(
        "take over an answer",
        "INSERT INTO journal (job_id, key, seq, call_hash, file, line, request, state, answer, created_at, done_at,
            reused)
         SELECT jobs.id, old.key, COALESCE((SELECT MAX(seq) FROM journal WHERE job_id = ?1), 0) + 1, old.call_hash,
            ?5, ?6, ?7, 'done', old.answer, ?8, ?8, 'taken'
         FROM journal AS old JOIN jobs ON jobs.id = ?1
         WHERE old.job_id = ?3 AND old.key = ?4 AND old.state = 'done' AND jobs.lease_id = ?2
         AND jobs.status = 'running'
         RETURNING *",
        params![call.job_id, lease, parent, call.key, call.place.file, call.place.line, call.request, micros(tx.now())],
    )?;
    row.ok_or_else(|| StoreError::not_found(format!("running job {} under lease {lease}", call.job_id)))
}

/// Notes that a call of a rerun is made again although its answer in the parent would have stood.
pub fn mark_anew(tx: &Tx<'_>, job: JobId, key: &str) -> Result<(), StoreError> {
    tx.run("mark a call", "UPDATE journal SET reused = 'anew' WHERE job_id = ?1 AND key = ?2", params![job, key])?;
    Ok(())
}
