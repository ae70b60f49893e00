//! `/api/v1/secrets/global[/{key}]`, `/team/{team}[/{key}]`, `/pipeline/{pipeline}[/{key}]`: names come
//! out, values only go in.
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::auth::{Authorized, noted};
use crate::model::{Action, Secret};
use crate::secrets::{self, SecretError};
use crate::store::secrets::{Scope, SecretName};
use crate::store::{Durability, teams};
use crate::web::access;
use crate::web::error::{Answer, WebError};
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// The secrets of a scope, by name.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SecretList")]
pub(in crate::web) struct List {
    secrets: Vec<Name>,
}

/// A secret without its value.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SecretName")]
struct Name {
    key: String,
    /// Counts its values, from 1.
    version: u32,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// Who set the value in force.
    updated_by: String,
}

/// The global secrets.
pub(in crate::web) async fn list_global(State(app): State<AppState>, visitor: Visitor) -> Answer {
    let place = place(&app, &visitor, "global", "").await?;
    list(&app, place).await
}

/// The secrets of a team or pipeline.
pub(in crate::web) async fn list_owned(
    State(app): State<AppState>,
    visitor: Visitor,
    Path((scope, owner)): Path<(String, String)>,
) -> Answer {
    let place = place(&app, &visitor, &scope, &owner).await?;
    list(&app, place).await
}

/// Sets a global secret; the body is the value.
pub(in crate::web) async fn set_global(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(key): Path<String>,
    body: Bytes,
) -> Answer {
    let place = place(&app, &visitor, "global", "").await?;
    set(&app, place, key, body).await
}

/// Sets a secret of a team or pipeline; the body is the value.
pub(in crate::web) async fn set_owned(
    State(app): State<AppState>,
    visitor: Visitor,
    Path((scope, owner, key)): Path<(String, String, String)>,
    body: Bytes,
) -> Answer {
    let place = place(&app, &visitor, &scope, &owner).await?;
    set(&app, place, key, body).await
}

/// Deletes a global secret.
pub(in crate::web) async fn delete_global(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(key): Path<String>,
) -> Answer {
    let place = place(&app, &visitor, "global", "").await?;
    delete(&app, place, key).await
}

/// Deletes a secret of a team or pipeline.
pub(in crate::web) async fn delete_owned(
    State(app): State<AppState>,
    visitor: Visitor,
    Path((scope, owner, key)): Path<(String, String, String)>,
) -> Answer {
    let place = place(&app, &visitor, &scope, &owner).await?;
    delete(&app, place, key).await
}

/// A scope that the visitor may manage.
pub(in crate::web) struct Place {
    scope: Scope,
    pub(in crate::web) label: String,
    authorized: Authorized,
}

/// The scope of that name, if the visitor may manage it.
pub(in crate::web) async fn place(app: &AppState, visitor: &Visitor, scope: &str, owner: &str) -> Answer<Place> {
    let label = format!("{scope}/{owner}");
    match scope {
        "global" => {
            let authorized = access::allow(visitor, Action::ManageGlobalSecrets)?;
            Ok(Place { scope: Scope::Global, label: "global".to_owned(), authorized })
        }
        "team" => {
            let authorized = access::allow(visitor, Action::ManageGlobalSecrets)?;
            let name = owner.to_owned();
            let team = app.store.read(move |view| teams::find_by_name(view, &name)).await?;
            let team = team.ok_or_else(WebError::not_found)?;
            Ok(Place { scope: Scope::Team(team.id), label, authorized })
        }
        "pipeline" => {
            let found = access::pipeline(app, visitor, owner.to_owned(), Action::ManageSecrets).await?;
            let (authorized, row) = found;
            Ok(Place { scope: Scope::Pipeline(row.id), label, authorized })
        }
        _ => Err(WebError::not_found()),
    }
}

/// The secrets of a scope, without their values.
pub(in crate::web) async fn names(app: &AppState, place: &Place) -> Answer<Vec<SecretName>> {
    secrets::list(&app.store, place.scope).await.map_err(refusal)
}

/// Sets a secret.
pub(in crate::web) async fn put(app: &AppState, place: Place, key: String, value: Secret<Vec<u8>>) -> Answer<()> {
    secrets::check_value(&key, value.expose()).map_err(refusal)?;
    let by = place.authorized.principal().label();
    let scope = place.scope;
    note(app, place, &key, "set").await?;
    secrets::set(&app.store, &app.vault, scope, &key, value, &by).await.map_err(refusal)?;
    Ok(())
}

/// Deletes a secret; false: there is none.
pub(in crate::web) async fn remove(app: &AppState, place: Place, key: String) -> Answer<bool> {
    let scope = place.scope;
    note(app, place, &key, "deleted").await?;
    secrets::delete(&app.store, scope, &key).await.map_err(refusal)
}

async fn list(app: &AppState, place: Place) -> Answer {
    let secrets = names(app, &place).await?.into_iter().map(|row| Name {
        key: row.key,
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
        updated_by: row.updated_by,
    });
    Ok(Json(List { secrets: secrets.collect() }).into_response())
}

async fn set(app: &AppState, place: Place, key: String, body: Bytes) -> Answer {
    put(app, place, key, Secret::new(body.to_vec())).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn delete(app: &AppState, place: Place, key: String) -> Answer {
    match remove(app, place, key).await? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(WebError::not_found()),
    }
}

/// Noted before it is done: a change that the log does not know never happened.
async fn note(app: &AppState, place: Place, key: &str, what: &'static str) -> Answer<()> {
    let resource = format!("secret {}/{key}", place.label);
    let written = app
        .store
        .write("web.secret_note", Durability::Acknowledged, move |tx| noted(tx, &place.authorized, &resource, what));
    Ok(written.await?)
}

fn refusal(error: SecretError) -> WebError {
    match error {
        SecretError::BadKey { .. } | SecretError::BadValue { .. } => WebError::bad_request(error.to_string()),
        SecretError::Store(source) => source.into(),
        other => WebError::internal(&other),
    }
}
