//! teams and team_members: from the config repo; deactivated, never deleted.
use rusqlite::params;

use super::sql::{micros, row, words};
use super::{StoreError, Tx, View};
use crate::model::TeamId;
use crate::model::settings::Team;

words! {
    /// What a member of a team is in it.
    pub enum Role = "role" {
        /// A member.
        Member = "member",
        /// A member who administers the team's pipelines.
        Admin = "admin",
    }
}

row! {
    /// A team.
    pub struct TeamRow {
        /// Its id; stays when its document changes.
        pub id: TeamId,
        /// Its name.
        pub name: String,
        /// Its members may do everything.
        pub global_admin: bool,
        /// It is in the configuration in force.
        pub active: bool,
    }
}

row! {
    /// A team that somebody belongs to.
    pub struct Membership {
        /// The team.
        pub team_id: TeamId,
        /// Its name.
        pub team: String,
        /// The person's role in it.
        pub role: Role,
        /// The team's members may do everything.
        pub global_admin: bool,
    }
}

row! {
    /// A member of a team.
    pub struct MemberRow {
        /// The address.
        pub email: String,
        /// The role.
        pub role: Role,
    }
}

/// The active teams, by name.
pub fn active(view: &View<'_>) -> Result<Vec<TeamRow>, StoreError> {
    view.all("read the teams", "SELECT * FROM teams WHERE active = 1 ORDER BY name", [])
}

/// The team of that name, active or not.
pub fn find_by_name(view: &View<'_>, name: &str) -> Result<Option<TeamRow>, StoreError> {
    view.first("read a team", "SELECT * FROM teams WHERE name = ?1", [name])
}

/// The active teams that an address belongs to. Addresses compare without case.
pub fn of_email(view: &View<'_>, email: &str) -> Result<Vec<Membership>, StoreError> {
    view.all(
        "read somebody's teams",
        "SELECT teams.id AS team_id, teams.name AS team, team_members.role AS role, teams.global_admin AS global_admin
         FROM team_members JOIN teams ON teams.id = team_members.team_id
         WHERE team_members.email = ?1 AND teams.active = 1 ORDER BY teams.name",
        [email],
    )
}

/// The members of a team, by address.
pub fn members(view: &View<'_>, team: TeamId) -> Result<Vec<MemberRow>, StoreError> {
    view.all("read the members of a team", "SELECT * FROM team_members WHERE team_id = ?1 ORDER BY email", [team])
}

pub(super) fn deactivate_all(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.run("deactivate the teams", "UPDATE teams SET active = 0", [])?;
    Ok(())
}

pub(super) fn upsert(tx: &Tx<'_>, team: &Team) -> Result<TeamId, StoreError> {
    let what = format!("store the team '{}'", team.name);
    let id: Option<TeamId> = tx.value(
        &what,
        "INSERT INTO teams (id, name, global_admin, active, created_at) VALUES (?1, ?2, ?3, 1, ?4)
         ON CONFLICT (name) DO UPDATE SET global_admin = excluded.global_admin, active = 1
         RETURNING id",
        params![TeamId::from_uuid(tx.uuid()), team.name, team.global_admin, micros(tx.now())],
    )?;
    let id = id.ok_or_else(|| StoreError::not_found(what.clone()))?;
    tx.run(&what, "DELETE FROM team_members WHERE team_id = ?1", [id])?;
    // Admins last: who is listed as both is an admin.
    let members = team.members.iter().map(|email| (email, Role::Member));
    for (email, role) in members.chain(team.admins.iter().map(|email| (email, Role::Admin))) {
        tx.run(
            &what,
            "INSERT INTO team_members (team_id, email, role) VALUES (?1, ?2, ?3)
             ON CONFLICT (team_id, email) DO UPDATE SET role = excluded.role",
            params![id, email, role],
        )?;
    }
    Ok(id)
}
