//! `GET /health` and `GET /health/ready`.
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;

use crate::store::config_commits;
use crate::web::error::Answer;
use crate::web::state::AppState;

/// The process answers.
#[derive(Serialize, JsonSchema)]
pub(in crate::web) struct Alive {
    status: &'static str,
}

/// Whether the server can do its work.
#[derive(Serialize, JsonSchema)]
pub(in crate::web) struct Ready {
    /// `ready` or `not ready`.
    status: &'static str,
    /// The names of what is down.
    down: Vec<String>,
}

/// The process answers.
pub(in crate::web) async fn alive() -> Answer {
    Ok(Json(Alive { status: "alive" }).into_response())
}

/// 503 with the names of what is down; the details are for the operator's listener.
pub(in crate::web) async fn ready(State(app): State<AppState>) -> Answer {
    let mut down = (app.hooks.down)().await;
    if app.store.read(config_commits::find_last).await.is_err() {
        down.push("database".to_owned());
    }
    let (code, word) = match down.is_empty() {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    Ok((code, Json(Ready { status: word, down })).into_response())
}
