//! `GET /api/v1/me`: who asks, and what they may do.
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::settings::Level;
use crate::model::{Principal, UserId};
use crate::store::{StoreError, View, teams, users};
use crate::web::access;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// Who asks.
#[derive(Serialize, JsonSchema)]
pub(in crate::web) struct Me {
    /// How they are called in the audit log and beside jobs.
    name: String,
    kind: Kind,
    /// The address of the user; of a token: of the user who made it.
    email: Option<String>,
    /// May do everything, within the token's scope.
    global_admin: bool,
    /// What the token was narrowed to; none: not a token.
    token: Option<TokenScope>,
    /// By name.
    teams: Vec<MyTeam>,
    /// The active pipelines that may be seen, by name.
    pipelines: Vec<MyPipeline>,
}

/// How somebody came in.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "PrincipalKind")]
enum Kind {
    User,
    Token,
    LocalAdmin,
    Other,
}

/// What a token was narrowed to.
#[derive(Serialize, JsonSchema)]
struct TokenScope {
    read_only: bool,
    /// The name of the only pipeline that it reaches.
    pipeline: Option<String>,
}

/// A team that somebody belongs to.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Membership")]
struct MyTeam {
    name: String,
    role: &'static str,
}

/// A pipeline that somebody may see.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PipelineAccess")]
struct MyPipeline {
    name: String,
    /// What may be done with it.
    level: Level,
}

/// Who asks.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor) -> Answer {
    let principal = visitor.caller.principal.clone();
    let (email, memberships) = app.store.read(move |view| of_principal(view, &principal)).await?;
    let rows = access::readable(&app, &visitor).await?;
    let grants = &visitor.caller.grants;
    let (kind, token) = match &visitor.caller.principal {
        Principal::User { .. } => (Kind::User, None),
        Principal::Token { .. } => {
            let only = grants.scope.pipeline.and_then(|id| rows.iter().find(|row| row.id == id));
            let pipeline = only.map(|row| row.name.clone());
            (Kind::Token, Some(TokenScope { read_only: grants.scope.read_only, pipeline }))
        }
        Principal::LocalAdmin => (Kind::LocalAdmin, None),
        Principal::Job { .. } | Principal::System => (Kind::Other, None),
    };
    let level = |id| match (grants.global_admin, grants.scope.read_only) {
        (_, true) => Level::Read,
        (true, false) => Level::Admin,
        (false, false) => grants.levels.get(&id).copied().unwrap_or(Level::Read),
    };
    let me = Me {
        name: visitor.caller.principal.label(),
        kind,
        email,
        global_admin: grants.global_admin,
        token,
        teams: memberships.into_iter().map(|row| MyTeam { name: row.team, role: row.role.as_str() }).collect(),
        pipelines: rows.into_iter().map(|row| MyPipeline { level: level(row.id), name: row.name }).collect(),
    };
    Ok(Json(me).into_response())
}

/// The address of a user, or of the user behind a token, with the teams.
fn of_principal(
    view: &View<'_>,
    principal: &Principal,
) -> Result<(Option<String>, Vec<teams::Membership>), StoreError> {
    let of_user = |id: UserId| Ok::<_, StoreError>(users::find(view, id)?.map(|row| row.email));
    let email = match principal {
        Principal::User { email, .. } => Some(email.clone()),
        Principal::Token { user: Some(id), .. } => of_user(*id)?,
        _ => None,
    };
    let memberships = email.as_deref().map_or_else(|| Ok(Vec::new()), |email| teams::of_email(view, email))?;
    Ok((email, memberships))
}
