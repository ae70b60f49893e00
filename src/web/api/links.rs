//! `POST /api/v1/login-links`: only over the machine's own socket.
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;

use crate::auth::links;
use crate::model::Action;
use crate::web::access;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// Makes a link that logs one browser in as `local-admin`, once, within ten minutes.
pub(in crate::web) async fn create(State(app): State<AppState>, visitor: Visitor) -> Answer {
    let authorized = access::allow(&visitor, Action::MakeLoginLink)?;
    let text = links::create(&app.store, app.ids.as_ref(), authorized).await?;
    let path = format!("/login/link?token={}", text.expose());
    let url = app.public_url.as_ref().map(|base| format!("{base}{path}"));
    Ok((StatusCode::CREATED, Json(json!({ "path": path, "url": url, "expires_in_seconds": 600 }))).into_response())
}
