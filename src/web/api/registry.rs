//! `GET /api/v1/registry`, `POST /api/v1/registry/collect`.
use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;

use crate::auth::noted;
use crate::model::Action;
use crate::registry::{self as room, RegistryError};
use crate::store::Durability;
use crate::web::access;
use crate::web::error::{Answer, WebError};
use crate::web::state::{App, AppState};
use crate::web::visitor::Visitor;

/// The registry beside the server.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RegistryState")]
pub(in crate::web) struct State {
    /// `up`, `starting`, `down: why`, or why there is none.
    state: String,
    /// How jobs call it.
    name: &'static str,
}

/// What a collection did.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RegistryCollected")]
pub(in crate::web) struct Collected {
    /// Images that were removed.
    images: u64,
    /// Bytes that were freed.
    bytes: u64,
    /// Bytes that are left.
    left: u64,
}

/// How the registry is.
pub(in crate::web) async fn show(Shared(app): Shared<AppState>, visitor: Visitor) -> Answer {
    access::allow(&visitor, Action::ReadHealth)?;
    Ok(Json(State { state: said(&app), name: room::HOST_PORT }).into_response())
}

/// Its state for people.
pub(in crate::web) fn said(app: &App) -> String {
    match app.registry.as_ref().map(|registry| registry.state()) {
        Some(room::State::Up) => "up".to_owned(),
        Some(room::State::Starting) => "starting".to_owned(),
        Some(room::State::Down(why)) => format!("down: {why}"),
        Some(room::State::Absent(why)) => why,
        None => "this server has no registry".to_owned(),
    }
}

/// Removes what retention says, now.
pub(in crate::web) async fn collect(Shared(app): Shared<AppState>, visitor: Visitor) -> Answer {
    let authorized = access::allow(&visitor, Action::CollectRegistry)?;
    let none = || WebError::new(StatusCode::CONFLICT, "No registry", format!("{}.", said(&app)));
    let registry = app.registry.clone().filter(|registry| registry.absent().is_none()).ok_or_else(none)?;
    app.store.write("web.collect_note", Durability::Progress, move |tx| noted(tx, &authorized, "registry", "")).await?;
    // Who asked may go away; what was begun is brought to its end.
    let collecting = tokio::spawn(async move { registry.collect().await });
    match collecting.await.map_err(|error| WebError::internal(&error))? {
        Ok(Some(done)) => {
            let room::Collected { images, bytes, left } = done;
            Ok(Json(Collected { images, bytes, left }).into_response())
        }
        Ok(None) => {
            let detail = "Images are being pushed at this moment; try again when those builds have ended.";
            Err(WebError::new(StatusCode::CONFLICT, "The registry is in use", detail))
        }
        Err(RegistryError::Unavailable(why)) => Err(down(&why)),
        Err(error) => Err(WebError::internal(&error)),
    }
}

fn down(why: &str) -> WebError {
    WebError::new(StatusCode::SERVICE_UNAVAILABLE, "No registry", format!("{why}."))
}
