//! One commit of the config repo, applied as a whole.
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{StoreError, Tx, config_commits, pipelines, teams, users};
use crate::model::TeamId;
use crate::model::settings::{Level, Settings};

/// What a commit changed, by name: shown beside it in the console.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "ConfigChanges")]
pub struct Changes {
    /// Users, `+name` for new ones and `-name` for those that disappeared.
    pub users: Vec<String>,
    /// Teams, likewise.
    pub teams: Vec<String>,
    /// Pipelines, likewise; `~name` for a changed document.
    pub pipelines: Vec<String>,
}

/// Makes a commit the configuration in force: ids stay with names, what disappeared is deactivated.
pub fn apply(tx: &Tx<'_>, settings: &Settings, sha: &str, now: Timestamp) -> Result<Changes, StoreError> {
    let before = Names::read(tx)?;
    pipelines::deactivate_all(tx)?;
    users::deactivate_all(tx)?;
    teams::deactivate_all(tx)?;
    for user in &settings.users {
        users::upsert(tx, user)?;
    }
    let mut ids: BTreeMap<&str, TeamId> = BTreeMap::new();
    for team in &settings.teams {
        ids.insert(&team.name, teams::upsert(tx, team)?);
    }
    let team_of = |pipeline: &str, name: &str| {
        ids.get(name).copied().ok_or_else(|| StoreError::Conflict {
            what: format!("apply the pipeline '{pipeline}'"),
            why: format!("the configuration has no team '{name}'"),
        })
    };
    for pipeline in &settings.pipelines {
        let owner = team_of(&pipeline.name, &pipeline.team)?;
        let id = pipelines::upsert(tx, pipeline, owner, now)?;
        pipelines::permit(tx, id, owner, Level::Admin)?;
        for permission in &pipeline.permissions {
            pipelines::permit(tx, id, team_of(&pipeline.name, &permission.team)?, permission.level)?;
        }
    }
    let changes = before.compared_with(&Names::read(tx)?);
    config_commits::record_applied(tx, sha, &settings.global, &changes, now)?;
    Ok(changes)
}

/// Active names with what tells a change apart.
struct Names {
    users: BTreeMap<String, String>,
    teams: BTreeMap<String, String>,
    pipelines: BTreeMap<String, String>,
}

impl Names {
    fn read(tx: &Tx<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            users: users::active(tx)?.into_iter().map(|u| (u.name, String::new())).collect(),
            teams: teams::active(tx)?.into_iter().map(|t| (t.name, String::new())).collect(),
            pipelines: pipelines::active(tx)?.into_iter().map(|p| (p.name, p.document)).collect(),
        })
    }

    fn compared_with(&self, after: &Self) -> Changes {
        Changes {
            users: compare(&self.users, &after.users),
            teams: compare(&self.teams, &after.teams),
            pipelines: compare(&self.pipelines, &after.pipelines),
        }
    }
}

fn compare(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let added_or_changed = after.iter().filter_map(|(name, content)| match before.get(name) {
        None => Some(format!("+{name}")),
        Some(old) if old != content => Some(format!("~{name}")),
        Some(_) => None,
    });
    let gone = before.keys().filter(|name| !after.contains_key(*name)).map(|name| format!("-{name}"));
    added_or_changed.chain(gone).collect()
}
