//! One commit of the config repo, applied as a whole.
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Field, StoreError, Tx, changes, config_commits, pipelines, teams, users};
use crate::model::TeamId;
use crate::model::settings::{Level, Settings, Team, User};

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
    /// Fields of documents that stay, with what they were and are.
    #[serde(default)]
    pub fields: Vec<Field>,
}

/// Makes a commit the configuration in force: ids stay with names, what disappeared is deactivated.
pub fn apply(tx: &Tx<'_>, settings: &Settings, sha: &str, now: Timestamp) -> Result<Changes, StoreError> {
    let before = Documents::read(tx)?;
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
    let after = Documents::of(settings)?;
    let changes = before.compared_with(&after);
    config_commits::record_applied(tx, sha, &settings.global, &changes, now)?;
    Ok(changes)
}

/// Documents by name, as a commit says them.
struct Documents {
    global: BTreeMap<String, Value>,
    users: BTreeMap<String, Value>,
    teams: BTreeMap<String, Value>,
    pipelines: BTreeMap<String, Value>,
}

impl Documents {
    fn read(tx: &Tx<'_>) -> Result<Self, StoreError> {
        let user = |row: users::UserRow| {
            let user = User { name: row.name.clone(), email: row.email, password_hash: row.password_hash };
            Ok((row.name, value(&user)?))
        };
        let team = |row: teams::TeamRow| {
            let members = teams::members(tx, row.id)?;
            let of = |role| members.iter().filter(move |m| m.role == role).map(|m| m.email.clone()).collect();
            let team = Team {
                name: row.name.clone(),
                members: of(teams::Role::Member),
                admins: of(teams::Role::Admin),
                global_admin: row.global_admin,
            };
            Ok((row.name, value(&team)?))
        };
        // What this release cannot read any more is no reason to refuse a new commit: it only has no fields to compare.
        let pipeline = |row: pipelines::PipelineRow| {
            let document = row.pipeline().ok().as_ref().map(value).transpose()?;
            Ok((row.name, document.unwrap_or_default()))
        };
        let global = match config_commits::in_force(tx)? {
            Some(row) => row
                .global()
                .ok()
                .map(|global| Ok((String::new(), value(&global)?)))
                .into_iter()
                .collect::<Result<_, StoreError>>()?,
            None => BTreeMap::new(),
        };
        Ok(Self {
            global,
            users: users::active(tx)?.into_iter().map(user).collect::<Result<_, StoreError>>()?,
            teams: teams::active(tx)?.into_iter().map(team).collect::<Result<_, StoreError>>()?,
            pipelines: pipelines::active(tx)?.into_iter().map(pipeline).collect::<Result<_, StoreError>>()?,
        })
    }

    fn of(settings: &Settings) -> Result<Self, StoreError> {
        Ok(Self {
            global: [(String::new(), value(&settings.global)?)].into(),
            users: settings.users.iter().map(|u| Ok((u.name.clone(), value(u)?))).collect::<Result<_, StoreError>>()?,
            teams: settings
                .teams
                .iter()
                .map(|t| Ok((t.name.clone(), value(&merged(t))?)))
                .collect::<Result<_, StoreError>>()?,
            pipelines: settings
                .pipelines
                .iter()
                .map(|p| Ok((p.name.clone(), value(p)?)))
                .collect::<Result<_, StoreError>>()?,
        })
    }

    fn compared_with(&self, after: &Self) -> Changes {
        let mut fields = Vec::new();
        changes::fields("config", &self.global, &after.global, &mut fields);
        changes::fields("user", &self.users, &after.users, &mut fields);
        changes::fields("team", &self.teams, &after.teams, &mut fields);
        changes::fields("pipeline", &self.pipelines, &after.pipelines, &mut fields);
        Changes {
            users: names(&self.users, &after.users),
            teams: names(&self.teams, &after.teams),
            pipelines: compare(&self.pipelines, &after.pipelines),
            fields,
        }
    }
}

fn value(document: &impl Serialize) -> Result<Value, StoreError> {
    serde_json::to_value(document).map_err(|source| StoreError::corrupt("compare the configuration", source))
}

/// A team as the store keeps it: who administers it is no longer listed as a member too.
fn merged(team: &Team) -> Team {
    let is_admin = |email: &String| team.admins.iter().any(|admin| admin.eq_ignore_ascii_case(email));
    Team { members: team.members.iter().filter(|email| !is_admin(email)).cloned().collect(), ..team.clone() }
}

/// What came and what went.
fn names(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<String> {
    let mut all = compare(before, after);
    all.retain(|name| !name.starts_with('~'));
    all
}

fn compare(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<String> {
    let added_or_changed = after.iter().filter_map(|(name, content)| match before.get(name) {
        None => Some(format!("+{name}")),
        Some(old) if old != content => Some(format!("~{name}")),
        Some(_) => None,
    });
    let gone = before.keys().filter(|name| !after.contains_key(*name)).map(|name| format!("-{name}"));
    added_or_changed.chain(gone).collect()
}
