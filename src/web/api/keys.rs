//! `GET /.well-known/danube/keys`: what attestations are verified with.
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::web::error::Answer;
use crate::web::state::AppState;

/// Every key that ever signed, the one in use first.
pub(in crate::web) async fn list(State(app): State<AppState>) -> Answer {
    let keys: Vec<Value> =
        app.keys.iter().map(|key| json!({ "keyid": key.id, "algorithm": "ed25519", "public_key": key.pem })).collect();
    Ok(Json(json!({ "keys": keys })).into_response())
}
