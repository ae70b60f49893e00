//! audit_log: who did what. Append-only; each row's hash covers the hash of the row before.
use jiff::Timestamp;
use rusqlite::params;
use sha2::{Digest, Sha256};

use super::sql::{micros, row, to_json, words};
use super::{StoreError, Tx, View};
use crate::model::{PipelineId, Principal};

words! {
    /// How it was decided.
    pub enum Decision = "decision" {
        /// It was allowed and done.
        Allowed = "allowed",
        /// It was refused.
        Denied = "denied",
    }
}

row! {
    /// A line of the audit log.
    pub struct AuditRow {
        /// Its place, from 1.
        pub seq: i64,
        /// When.
        pub at: Timestamp,
        /// JSON of the `Principal`.
        pub principal: String,
        /// The principal for people.
        pub label: String,
        /// What was done.
        pub action: String,
        /// To what.
        pub resource: String,
        /// How it was decided.
        pub decision: Decision,
        /// What else is worth knowing; never a secret's value.
        pub detail: String,
        /// The pipeline it is about.
        pub pipeline_id: Option<PipelineId>,
        /// The hash of the line before; 64 zeros for the first.
        pub prev_hash: String,
        /// The hash of this line.
        pub hash: String,
    }
}

impl AuditRow {
    /// The line is as it was written.
    pub fn is_sound(&self) -> bool {
        self.hash == self.expected_hash()
    }

    /// SHA-256 over the fields, each preceded by its length, so that no two lines look alike.
    fn expected_hash(&self) -> String {
        let mut hash = Sha256::new();
        let at = micros(self.at).to_string();
        let seq = self.seq.to_string();
        let pipeline = self.pipeline_id.map(|id| id.to_string()).unwrap_or_default();
        let fields = [
            self.prev_hash.as_str(),
            &seq,
            &at,
            &self.principal,
            &self.label,
            &self.action,
            &self.resource,
            self.decision.as_str(),
            &self.detail,
            &pipeline,
        ];
        for field in fields {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field.as_bytes());
        }
        hex::encode(hash.finalize())
    }
}

/// What is to be noted.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Who.
    pub principal: Principal,
    /// What: a word of `Action::as_str`, or one of a like form.
    pub action: String,
    /// To what, for people.
    pub resource: String,
    /// How it was decided.
    pub decision: Decision,
    /// What else is worth knowing; never a secret's value.
    pub detail: String,
    /// The pipeline it is about.
    pub pipeline: Option<PipelineId>,
}

/// The hash before the first line.
const FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Appends a line; in the transaction of what it tells of.
pub fn append(tx: &Tx<'_>, entry: &Entry) -> Result<(), StoreError> {
    let what = "write the audit log";
    let last = last(tx)?;
    let mut row = AuditRow {
        seq: last.as_ref().map_or(1, |row| row.seq + 1),
        // Stored to the microsecond, and hashed as stored.
        at: tx.now(),
        principal: to_json(what, &entry.principal)?,
        label: entry.principal.label(),
        action: entry.action.clone(),
        resource: entry.resource.clone(),
        decision: entry.decision,
        detail: entry.detail.clone(),
        pipeline_id: entry.pipeline,
        prev_hash: last.map_or_else(|| FIRST.to_owned(), |row| row.hash),
        hash: String::new(),
    };
    row.hash = row.expected_hash();
    tx.run(
        what,
        "INSERT INTO audit_log (seq, at, principal, label, action, resource, decision, detail, pipeline_id, prev_hash,
            hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            row.seq,
            micros(row.at),
            row.principal,
            row.label,
            row.action,
            row.resource,
            row.decision,
            row.detail,
            row.pipeline_id,
            row.prev_hash,
            row.hash
        ],
    )?;
    Ok(())
}

/// The newest line: its hash, kept elsewhere, proves that no later cut went unseen.
pub fn last(view: &View<'_>) -> Result<Option<AuditRow>, StoreError> {
    view.first("read the audit log", "SELECT * FROM audit_log ORDER BY seq DESC LIMIT 1", [])
}

/// A page of lines, newest first, before a place (`i64::MAX` from the start).
pub fn page(
    view: &View<'_>,
    pipeline: Option<PipelineId>,
    before: i64,
    limit: u32,
) -> Result<Vec<AuditRow>, StoreError> {
    let limit = limit.clamp(1, 200);
    match pipeline {
        Some(id) => view.all(
            "read the audit log",
            "SELECT * FROM audit_log WHERE pipeline_id = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
            params![id, before, limit],
        ),
        None => view.all(
            "read the audit log",
            "SELECT * FROM audit_log WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2",
            params![before, limit],
        ),
    }
}

/// Which lines, and where to go on.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only about this pipeline.
    pub pipeline: Option<PipelineId>,
    /// Only by this one, as the label says it.
    pub who: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// Only what was decided so.
    pub decision: Option<Decision>,
    /// Only at this time or later.
    pub since: Option<Timestamp>,
    /// The last line of the page before.
    pub before: Option<i64>,
    /// Lines at most; held to 1..=200.
    pub limit: u32,
}

/// A page of the lines that fit, newest first.
pub fn find(view: &View<'_>, filter: &Filter) -> Result<Vec<AuditRow>, StoreError> {
    let Filter { pipeline, who, action, decision, since, before, limit } = filter;
    // Only the conditions that are asked for: each has its index.
    let conditions = [
        (pipeline.is_some(), " AND pipeline_id = ?2"),
        (who.is_some(), " AND label = ?3"),
        (action.is_some(), " AND action = ?4"),
        (decision.is_some(), " AND decision = ?5"),
        // Lines stand in the order of time: from the first of that time on.
        (since.is_some(), " AND seq >= (SELECT seq FROM audit_log WHERE at >= ?6 ORDER BY at, seq LIMIT 1)"),
    ];
    let conditions: String = conditions.iter().filter(|(asked, _)| *asked).map(|(_, text)| *text).collect();
    view.all(
        "search the audit log",
        &format!("SELECT * FROM audit_log WHERE seq < ?1{conditions} ORDER BY seq DESC LIMIT ?7"),
        params![before.unwrap_or(i64::MAX), pipeline, who, action, decision, since.map(micros), limit.clamp(&1, &200),],
    )
}

/// What `verify_chain` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// Every line is as it was written.
    Sound {
        /// How many.
        lines: i64,
    },
    /// The first line that is not.
    Broken {
        /// Its place.
        seq: i64,
    },
}

/// A line up to which the chain was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its place; 0: before the first.
    pub seq: i64,
    hash: String,
}

impl Default for Link {
    fn default() -> Self {
        Self { seq: 0, hash: FIRST.to_owned() }
    }
}

/// How far the chain was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The last line that is as it was written.
    pub link: Link,
    /// No line behind it was met that is not.
    pub sound: bool,
    /// The place of the newest line.
    pub lines: i64,
}

/// Lines that are checked at a time.
const BATCH: u32 = 1000;

/// Checks each line behind `link` against its hash and the line before, `most` lines at most.
pub fn follow(view: &View<'_>, mut link: Link, most: u32) -> Result<Followed, StoreError> {
    let lines = last(view)?.map_or(0, |row| row.seq);
    let mut left = most;
    while left > 0 {
        let rows: Vec<AuditRow> = view.all(
            "read the audit log",
            "SELECT * FROM audit_log WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            params![link.seq, left.min(BATCH)],
        )?;
        if rows.is_empty() {
            // Lines that were followed once are gone.
            return Ok(Followed { sound: link.seq == lines, link, lines });
        }
        for row in rows {
            if row.seq != link.seq + 1 || row.prev_hash != link.hash || !row.is_sound() {
                return Ok(Followed { link, sound: false, lines });
            }
            link = Link { seq: row.seq, hash: row.hash };
            left -= 1;
        }
    }
    Ok(Followed { link, sound: true, lines })
}

/// Checks every line against its hash and the line before.
pub fn verify_chain(view: &View<'_>) -> Result<Chain, StoreError> {
    let Followed { link, sound, .. } = follow(view, Link::default(), u32::MAX)?;
    Ok(if sound { Chain::Sound { lines: link.seq } } else { Chain::Broken { seq: link.seq + 1 } })
}
