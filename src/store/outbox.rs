//! outbox: what forges and people are to be told; written with its reason, sent after, retried.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::{micros, row, words};
use super::{StoreError, Tx, View};
use crate::model::JobId;

words! {
    /// What became of a message.
    pub enum OutboxState = "state of a message" {
        /// It is to be sent.
        Waiting = "waiting",
        /// It was sent.
        Delivered = "delivered",
        /// It was given up.
        Failed = "failed",
    }
}

row! {
    /// A message.
    pub struct OutboxRow {
        /// Its place in the order of writing.
        pub id: i64,
        /// What kind of message; its sender knows the words.
        pub kind: String,
        /// Tells it apart: a second message of that key is not written.
        pub dedupe_key: String,
        /// The job it is about.
        pub job_id: Option<JobId>,
        /// JSON for its sender.
        pub payload: String,
        /// What became of it.
        pub state: OutboxState,
        /// Failed attempts at sending it.
        pub attempts: u32,
        /// When it is tried next.
        pub next_at: Timestamp,
        /// Why the last attempt failed.
        pub last_error: Option<String>,
        /// When it was written.
        pub created_at: Timestamp,
    }
}

/// Writes a message, due at once. False: one of that key is there already.
pub fn add(tx: &Tx<'_>, kind: &str, dedupe_key: &str, job: Option<JobId>, payload: &str) -> Result<bool, StoreError> {
    let rows = tx.run(
        "write a message",
        "INSERT INTO outbox (kind, dedupe_key, job_id, payload, state, next_at, created_at)
         VALUES (?1, ?2, ?3, ?4, 'waiting', ?5, ?5) ON CONFLICT (dedupe_key) DO NOTHING",
        params![kind, dedupe_key, job, payload, micros(tx.now())],
    )?;
    Ok(rows == 1)
}

/// Messages due at a moment, oldest first.
pub fn due(view: &View<'_>, now: Timestamp, limit: u32) -> Result<Vec<OutboxRow>, StoreError> {
    view.all(
        "read the due messages",
        "SELECT * FROM outbox WHERE state = 'waiting' AND next_at <= ?1 ORDER BY next_at, id LIMIT ?2",
        params![micros(now), limit],
    )
}

/// Messages about a job, in order.
pub fn of_job(view: &View<'_>, job: JobId) -> Result<Vec<OutboxRow>, StoreError> {
    view.all("read the messages of a job", "SELECT * FROM outbox WHERE job_id = ?1 ORDER BY id", [job])
}

/// Notes that a message was sent.
pub fn delivered(tx: &Tx<'_>, id: i64) -> Result<(), StoreError> {
    tx.run(
        "note a sent message",
        "UPDATE outbox SET state = 'delivered', ended_at = ?2 WHERE id = ?1 AND state = 'waiting'",
        params![id, micros(tx.now())],
    )?;
    Ok(())
}

/// Notes a failed attempt: again at `next_at`, or never.
pub fn failed(tx: &Tx<'_>, id: i64, error: &str, next_at: Option<Timestamp>) -> Result<(), StoreError> {
    tx.run(
        "note a message that could not be sent",
        "UPDATE outbox SET attempts = attempts + 1, last_error = ?2, next_at = COALESCE(?3, next_at),
            state = CASE WHEN ?3 IS NULL THEN 'failed' ELSE 'waiting' END,
            ended_at = CASE WHEN ?3 IS NULL THEN ?4 ELSE NULL END
         WHERE id = ?1 AND state = 'waiting'",
        params![id, error, next_at.map(micros), micros(tx.now())],
    )?;
    Ok(())
}

/// Deletes messages that ended before a moment; how many.
pub fn delete_before(tx: &Tx<'_>, before: Timestamp) -> Result<usize, StoreError> {
    tx.run("delete old messages", "DELETE FROM outbox WHERE ended_at < ?1 AND state <> 'waiting'", [micros(before)])
}
