//! `GET /api/v1/teams`.
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{Action, Principal};
use crate::store::teams;
use crate::web::access;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// The teams that the visitor may see.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TeamList")]
pub(in crate::web) struct List {
    /// By name.
    teams: Vec<Team>,
}

/// A team, as the config repo says it.
#[derive(Serialize, JsonSchema)]
struct Team {
    name: String,
    /// Its members may do everything.
    global_admin: bool,
    /// By address.
    members: Vec<Member>,
}

/// A member of a team.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TeamMember")]
struct Member {
    email: String,
    role: &'static str,
}

/// Global admins see every team, others their own.
pub(in crate::web) async fn list(State(app): State<AppState>, visitor: Visitor) -> Answer {
    let all = access::may(&visitor, Action::ReadConfigStatus);
    let email = match &visitor.caller.principal {
        Principal::User { email, .. } => Some(email.to_lowercase()),
        _ => None,
    };
    let list = app.store.read(move |view| {
        let mut list = Vec::new();
        for row in teams::active(view)? {
            let members = teams::members(view, row.id)?;
            let own = email.as_ref().is_some_and(|email| members.iter().any(|m| m.email.to_lowercase() == *email));
            if all || own {
                let members = members.into_iter().map(|m| Member { email: m.email, role: m.role.as_str() });
                list.push(Team { name: row.name, global_admin: row.global_admin, members: members.collect() });
            }
        }
        Ok(list)
    });
    Ok(Json(List { teams: list.await? }).into_response())
}
