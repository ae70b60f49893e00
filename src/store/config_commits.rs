//! config_commits: every commit of the config repo that was looked at, applied or not.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::{from_json, micros, row, to_json};
use super::{StoreError, Tx, View};
use crate::model::settings::Global;

row! {
    /// A commit of the config repo.
    pub struct ConfigCommitRow {
        /// Its place in the order of arrival.
        pub id: i64,
        /// The commit.
        pub sha: String,
        /// When it was seen first.
        pub seen_at: Timestamp,
        /// When it was applied; none: it had errors.
        pub applied_at: Option<Timestamp>,
        /// JSON of its `Global`.
        pub global: Option<String>,
        /// JSON of `apply::Changes`: what it changed.
        pub changes: Option<String>,
        /// JSON of its errors.
        pub errors: Option<String>,
    }
}

impl ConfigCommitRow {
    /// The `Config` document of an applied commit.
    pub fn global(&self) -> Result<Global, StoreError> {
        let what = format!("read the settings of config commit {}", self.sha);
        let text = self.global.as_deref().ok_or_else(|| StoreError::not_found(what.clone()))?;
        from_json(&what, text)
    }
}

/// The commit in force, if any was ever applied.
pub fn in_force(view: &View<'_>) -> Result<Option<ConfigCommitRow>, StoreError> {
    view.first(
        "read the configuration in force",
        "SELECT * FROM config_commits WHERE applied_at IS NOT NULL ORDER BY id DESC LIMIT 1",
        [],
    )
}

/// The settings in force; the defaults before the first commit.
pub fn global_in_force(view: &View<'_>) -> Result<Global, StoreError> {
    in_force(view)?.map_or_else(|| Ok(Global::default()), |row| row.global())
}

/// The newest commit that was looked at.
pub fn find_last(view: &View<'_>) -> Result<Option<ConfigCommitRow>, StoreError> {
    view.first("read the last config commit", "SELECT * FROM config_commits ORDER BY id DESC LIMIT 1", [])
}

/// The newest commits, newest first.
pub fn recent(view: &View<'_>, limit: u32) -> Result<Vec<ConfigCommitRow>, StoreError> {
    view.all("read the config commits", "SELECT * FROM config_commits ORDER BY id DESC LIMIT ?1", [limit])
}

/// Records a commit that was refused. The same refusal again only replaces its errors.
pub fn record_failure(tx: &Tx<'_>, sha: &str, errors_json: &str) -> Result<(), StoreError> {
    let what = "record a refused config commit";
    if let Some(last) = find_last(tx)?
        && last.sha == sha
        && last.errors.is_some()
    {
        tx.run(what, "UPDATE config_commits SET errors = ?2 WHERE id = ?1", params![last.id, errors_json])?;
        return Ok(());
    }
    tx.run(
        what,
        "INSERT INTO config_commits (sha, seen_at, errors) VALUES (?1, ?2, ?3)",
        params![sha, micros(tx.now()), errors_json],
    )?;
    Ok(())
}

/// Records a commit as applied: it is in force from now on.
pub(super) fn record_applied(
    tx: &Tx<'_>,
    sha: &str,
    global: &Global,
    changes: &super::apply::Changes,
    now: Timestamp,
) -> Result<(), StoreError> {
    let what = "record an applied config commit";
    tx.run(
        what,
        "INSERT INTO config_commits (sha, seen_at, applied_at, global, changes) VALUES (?1, ?2, ?2, ?3, ?4)",
        params![sha, micros(now), to_json(what, global)?, to_json(what, changes)?],
    )?;
    Ok(())
}
