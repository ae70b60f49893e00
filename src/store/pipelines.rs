//! pipelines and pipeline_permissions: from the config repo; deactivated, never deleted.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::{from_json, micros, row, to_json};
use super::{StoreError, Tx, View};
use crate::model::settings::{Level, Pipeline};
use crate::model::{PipelineId, TeamId};

row! {
    /// A pipeline.
    pub struct PipelineRow {
        /// Its id; stays when its document changes.
        pub id: PipelineId,
        /// Its name.
        pub name: String,
        /// The owning team.
        pub team_id: TeamId,
        /// The owning team's name.
        pub team: String,
        /// The address of the built repository.
        pub repository: String,
        /// JSON of the `Pipeline`; read it by `pipeline()`.
        pub document: String,
        /// It is in the configuration in force.
        pub active: bool,
        /// When it was seen first.
        pub created_at: Timestamp,
        /// When its document changed last.
        pub updated_at: Timestamp,
    }
}

impl PipelineRow {
    /// The document.
    pub fn pipeline(&self) -> Result<Pipeline, StoreError> {
        from_json(&format!("read the pipeline '{}'", self.name), &self.document)
    }
}

row! {
    /// What a team may do with a pipeline.
    pub struct PermissionRow {
        /// The pipeline.
        pub pipeline_id: PipelineId,
        /// The team.
        pub team_id: TeamId,
        /// What it may do.
        pub level: Level,
    }
}

/// The pipeline of that id, active or not.
pub fn get(view: &View<'_>, id: PipelineId) -> Result<PipelineRow, StoreError> {
    let row = view.first("read a pipeline", "SELECT * FROM pipelines WHERE id = ?1", [id])?;
    row.ok_or_else(|| StoreError::not_found(format!("pipeline {id}")))
}

/// The pipeline of that name, active or not.
pub fn find_by_name(view: &View<'_>, name: &str) -> Result<Option<PipelineRow>, StoreError> {
    view.first("read a pipeline", "SELECT * FROM pipelines WHERE name = ?1", [name])
}

/// The active pipelines, by name.
pub fn active(view: &View<'_>) -> Result<Vec<PipelineRow>, StoreError> {
    view.all("read the pipelines", "SELECT * FROM pipelines WHERE active = 1 ORDER BY name", [])
}

/// Everything that teams may do with a pipeline; the owning team's `admin` is among it.
pub fn permissions(view: &View<'_>, id: PipelineId) -> Result<Vec<PermissionRow>, StoreError> {
    view.all("read the permissions of a pipeline", "SELECT * FROM pipeline_permissions WHERE pipeline_id = ?1", [id])
}

/// What an address may do with each pipeline, through its active teams: the highest level of each.
///
/// Global admins are not in it: they may do everything.
pub fn levels_of_email(view: &View<'_>, email: &str) -> Result<Vec<(PipelineId, Level)>, StoreError> {
    let rows: Vec<PermissionRow> = view.all(
        "read somebody's permissions",
        "SELECT p.pipeline_id, p.team_id, p.level
         FROM pipeline_permissions AS p
         JOIN team_members ON team_members.team_id = p.team_id
         JOIN teams ON teams.id = p.team_id
         WHERE team_members.email = ?1 AND teams.active = 1 ORDER BY p.pipeline_id",
        [email],
    )?;
    let mut levels: Vec<(PipelineId, Level)> = Vec::new();
    for row in rows {
        match levels.last_mut() {
            Some((id, level)) if *id == row.pipeline_id => *level = (*level).max(row.level),
            _ => levels.push((row.pipeline_id, row.level)),
        }
    }
    Ok(levels)
}

pub(super) fn deactivate_all(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.run("deactivate the pipelines", "UPDATE pipelines SET active = 0", [])?;
    Ok(())
}

pub(super) fn upsert(tx: &Tx<'_>, pipeline: &Pipeline, team: TeamId, now: Timestamp) -> Result<PipelineId, StoreError> {
    let what = format!("store the pipeline '{}'", pipeline.name);
    let id: Option<PipelineId> = tx.value(
        &what,
        "INSERT INTO pipelines (id, name, team_id, team, repository, document, active, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?7)
         ON CONFLICT (name) DO UPDATE SET
            updated_at = CASE WHEN document = excluded.document THEN updated_at ELSE excluded.updated_at END,
            team_id = excluded.team_id, team = excluded.team, repository = excluded.repository,
            document = excluded.document, active = 1
         RETURNING id",
        params![
            PipelineId::from_uuid(tx.uuid()),
            pipeline.name,
            team,
            pipeline.team,
            pipeline.repository,
            to_json(&what, pipeline)?,
            micros(now),
        ],
    )?;
    let id = id.ok_or_else(|| StoreError::not_found(what.clone()))?;
    tx.run(&what, "DELETE FROM pipeline_permissions WHERE pipeline_id = ?1", [id])?;
    Ok(id)
}

/// Grants a level; where a team is named twice, the highest counts.
pub(super) fn permit(tx: &Tx<'_>, pipeline: PipelineId, team: TeamId, level: Level) -> Result<(), StoreError> {
    let what = "store a permission";
    let known: Option<Level> = tx.value(
        what,
        "SELECT level FROM pipeline_permissions WHERE pipeline_id = ?1 AND team_id = ?2",
        params![pipeline, team],
    )?;
    let level = known.map_or(level, |known| known.max(level));
    tx.run(
        what,
        "INSERT INTO pipeline_permissions (pipeline_id, team_id, level) VALUES (?1, ?2, ?3)
         ON CONFLICT (pipeline_id, team_id) DO UPDATE SET level = excluded.level",
        params![pipeline, team, level],
    )?;
    Ok(())
}
