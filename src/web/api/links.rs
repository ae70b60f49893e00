//! `POST /api/v1/login-links`: only over the machine's own socket.
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;

use crate::auth::links;
use crate::model::Action;
use crate::web::access;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// A link that works once.
#[derive(Serialize, JsonSchema)]
pub(in crate::web) struct LoginLink {
    path: String,
    /// The whole address, where the server knows its own.
    url: Option<String>,
    expires_in_seconds: u32,
}

/// Makes a link that logs one browser in as `local-admin`, once, within ten minutes.
pub(in crate::web) async fn create(State(app): State<AppState>, visitor: Visitor) -> Answer {
    let authorized = access::allow(&visitor, Action::MakeLoginLink)?;
    let text = links::create(&app.store, app.ids.as_ref(), authorized).await?;
    let path = format!("/login/link?token={}", text.expose());
    let url = app.public_url.as_ref().map(|base| format!("{base}{path}"));
    Ok((StatusCode::CREATED, Json(LoginLink { path, url, expires_in_seconds: 600 })).into_response())
}
