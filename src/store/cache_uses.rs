//! cache_uses: what a step found of each cache that it named, and what became of it afterwards.
use rusqlite::{named_params, params};

use super::sql::{int, row, words};
use super::{StoreError, Tx, View};
use crate::model::{JobId, StepId};

words! {
    /// What a step found.
    pub enum Found = "finding of a cache" {
        /// Content that an earlier job stored.
        Hit = "hit",
        /// Nothing.
        Miss = "miss",
        /// What an earlier step of the same job had.
        Here = "here",
    }
}

words! {
    /// What became of a cache after a step succeeded.
    pub enum Saved = "saving of a cache" {
        /// It was stored.
        Stored = "stored",
        /// It is stored already.
        Unchanged = "unchanged",
        /// It was not to be stored, or could not be.
        No = "no",
    }
}

row! {
    /// The use of a cache by a step attempt.
    pub struct UseRow {
        /// The attempt.
        pub step_id: StepId,
        /// The name of the cache.
        pub name: String,
        /// Its key; empty: none.
        pub key: String,
        /// What was found.
        pub found: Found,
        /// Who stored what was found, or why nothing was.
        pub found_note: String,
        /// The size of what was restored.
        pub found_bytes: u64,
        /// How long that took, in milliseconds.
        pub found_millis: u64,
        /// What became of it; none: the step has not succeeded.
        pub saved: Option<Saved>,
        /// Why, in words.
        pub saved_note: String,
        /// The size of what was stored.
        pub saved_bytes: u64,
        /// How long that took, in milliseconds.
        pub saved_millis: u64,
    }
}

/// What a step found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The name of the cache.
    pub name: String,
    /// Its key.
    pub key: String,
    /// What was found.
    pub found: Found,
    /// Who stored it, or why there is nothing.
    pub note: String,
    /// Bytes.
    pub bytes: u64,
    /// Milliseconds.
    pub millis: u64,
}

/// What became of a cache.
#[derive(Debug, Clone)]
pub struct Saving {
    /// The name of the cache.
    pub name: String,
    /// What became of it.
    pub saved: Saved,
    /// Why.
    pub note: String,
    /// Bytes.
    pub bytes: u64,
    /// Milliseconds.
    pub millis: u64,
}

/// Notes what a step found. The first note stands: after a restart of the master it may be made again.
pub fn note_found(tx: &Tx<'_>, step: StepId, finding: &Finding) -> Result<(), StoreError> {
    tx.run(
        "note what a step found in a cache",
        "INSERT INTO cache_uses (step_id, name, key, found, found_note, found_bytes, found_millis)
         SELECT id, :name, :key, :found, :note, :bytes, :millis FROM steps WHERE id = :step
         ON CONFLICT (step_id, name) DO NOTHING",
        named_params! {
            ":step": step,
            ":name": finding.name,
            ":key": finding.key,
            ":found": finding.found,
            ":note": finding.note,
            ":bytes": int(finding.bytes),
            ":millis": int(finding.millis),
        },
    )?;
    Ok(())
}

/// Notes what became of a cache after a step succeeded.
pub fn note_saved(tx: &Tx<'_>, step: StepId, saving: &Saving) -> Result<(), StoreError> {
    tx.run(
        "note what became of a cache",
        "UPDATE cache_uses SET saved = ?3, saved_note = ?4, saved_bytes = ?5, saved_millis = ?6
         WHERE step_id = ?1 AND name = ?2",
        params![step, saving.name, saving.saved, saving.note, int(saving.bytes), int(saving.millis)],
    )?;
    Ok(())
}

/// Every use by a job's steps, in their order.
pub fn of_job(view: &View<'_>, job: JobId) -> Result<Vec<UseRow>, StoreError> {
    view.all(
        "read the uses of caches by a job",
        "SELECT cache_uses.* FROM cache_uses JOIN steps ON steps.id = cache_uses.step_id
         WHERE steps.job_id = ?1 ORDER BY steps.seq, steps.attempt, cache_uses.name",
        [job],
    )
}
