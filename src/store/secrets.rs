//! secrets: encrypted values by scope and key. Only the room `secrets` reads the values.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::{micros, row, words};
use super::{StoreError, Tx, View};
use crate::model::{PipelineId, SecretId, TeamId};

words! {
    /// Who may see a secret at most.
    pub enum ScopeKind = "scope of a secret" {
        /// Every pipeline that is granted it.
        Global = "global",
        /// Pipelines of one team.
        Team = "team",
        /// One pipeline.
        Pipeline = "pipeline",
    }
}

/// Where a secret belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every pipeline that is granted it.
    Global,
    /// Pipelines of one team.
    Team(TeamId),
    /// One pipeline.
    Pipeline(PipelineId),
}

impl Scope {
    /// The kind of scope.
    pub const fn kind(self) -> ScopeKind {
        match self {
            Self::Global => ScopeKind::Global,
            Self::Team(_) => ScopeKind::Team,
            Self::Pipeline(_) => ScopeKind::Pipeline,
        }
    }

    const fn team(self) -> Option<TeamId> {
        match self {
            Self::Team(id) => Some(id),
            _ => None,
        }
    }

    const fn pipeline(self) -> Option<PipelineId> {
        match self {
            Self::Pipeline(id) => Some(id),
            _ => None,
        }
    }

    /// The id of the team or pipeline; empty for global.
    pub fn owner_id(self) -> String {
        match self {
            Self::Global => String::new(),
            Self::Team(id) => id.to_string(),
            Self::Pipeline(id) => id.to_string(),
        }
    }
}

row! {
    /// A secret without its value: what may be listed.
    pub struct SecretName {
        /// Its id.
        pub id: SecretId,
        /// Its kind of scope.
        pub scope: ScopeKind,
        /// The team, for that scope.
        pub team_id: Option<TeamId>,
        /// The pipeline, for that scope.
        pub pipeline_id: Option<PipelineId>,
        /// Its key.
        pub key: String,
        /// Counts its values, from 1.
        pub version: u32,
        /// When it was made.
        pub created_at: Timestamp,
        /// When its value was set last.
        pub updated_at: Timestamp,
        /// Who set it.
        pub updated_by: String,
    }
}

row! {
    /// A secret with its encrypted value.
    pub(crate) struct SecretRow {
        /// Its id.
        pub id: SecretId,
        /// Its kind of scope.
        pub scope: ScopeKind,
        /// The team, for that scope.
        pub team_id: Option<TeamId>,
        /// The pipeline, for that scope.
        pub pipeline_id: Option<PipelineId>,
        /// Its key.
        pub key: String,
        /// Counts its values, from 1.
        pub version: u32,
        /// version | key id | nonce | ciphertext.
        pub value_encrypted: Vec<u8>,
    }
}

impl SecretRow {
    /// Where it belongs.
    pub(crate) fn scope(&self) -> Scope {
        match (self.team_id, self.pipeline_id) {
            (Some(team), _) => Scope::Team(team),
            (_, Some(pipeline)) => Scope::Pipeline(pipeline),
            (None, None) => Scope::Global,
        }
    }
}

/// The names of a scope's secrets, sorted.
pub fn names(view: &View<'_>, scope: Scope) -> Result<Vec<SecretName>, StoreError> {
    view.all(
        "list the secrets",
        "SELECT * FROM secrets WHERE scope = ?1 AND team_id IS ?2 AND pipeline_id IS ?3 ORDER BY key",
        params![scope.kind(), scope.team(), scope.pipeline()],
    )
}

/// A secret with its encrypted value.
pub(crate) fn find(view: &View<'_>, scope: Scope, key: &str) -> Result<Option<SecretRow>, StoreError> {
    view.first(
        "read a secret",
        "SELECT * FROM secrets WHERE scope = ?1 AND team_id IS ?2 AND pipeline_id IS ?3 AND key = ?4",
        params![scope.kind(), scope.team(), scope.pipeline(), key],
    )
}

/// Every secret: for a change of the encryption key.
pub(crate) fn all(view: &View<'_>) -> Result<Vec<SecretRow>, StoreError> {
    view.all("read the secrets", "SELECT * FROM secrets ORDER BY id", [])
}

/// Stores a value under the version that it was encrypted for.
pub(crate) fn put(
    tx: &Tx<'_>,
    scope: Scope,
    key: &str,
    version: u32,
    value_encrypted: &[u8],
    by: &str,
) -> Result<(), StoreError> {
    let what = format!("store the secret '{key}'");
    let now = micros(tx.now());
    if let Some(known) = find(tx, scope, key)? {
        tx.run(
            &what,
            "UPDATE secrets SET version = ?2, value_encrypted = ?3, updated_at = ?4, updated_by = ?5 WHERE id = ?1",
            params![known.id, version, value_encrypted, now, by],
        )?;
        return Ok(());
    }
    tx.run(
        &what,
        "INSERT INTO secrets (id, scope, team_id, pipeline_id, key, version, value_encrypted, created_at, updated_at,
            updated_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9)",
        params![
            SecretId::from_uuid(tx.uuid()),
            scope.kind(),
            scope.team(),
            scope.pipeline(),
            key,
            version,
            value_encrypted,
            now,
            by
        ],
    )?;
    Ok(())
}

/// Replaces the encryption of a value, not the value.
pub(crate) fn reencrypt(tx: &Tx<'_>, id: SecretId, value_encrypted: &[u8]) -> Result<(), StoreError> {
    tx.run(
        "encrypt a secret anew",
        "UPDATE secrets SET value_encrypted = ?2 WHERE id = ?1",
        params![id, value_encrypted],
    )?;
    Ok(())
}

/// Deletes a secret. False: there was none.
pub(crate) fn delete(tx: &Tx<'_>, scope: Scope, key: &str) -> Result<bool, StoreError> {
    let rows = tx.run(
        "delete a secret",
        "DELETE FROM secrets WHERE scope = ?1 AND team_id IS ?2 AND pipeline_id IS ?3 AND key = ?4",
        params![scope.kind(), scope.team(), scope.pipeline(), key],
    )?;
    Ok(rows == 1)
}
