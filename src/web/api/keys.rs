//! `GET /.well-known/danube/keys`: what attestations are verified with.
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;

use crate::web::error::Answer;
use crate::web::state::{AppState, PublicKey};

/// What attestations are verified with.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeyList")]
pub(in crate::web) struct List<'a> {
    keys: Vec<Key<'a>>,
}

/// A public key.
#[derive(Serialize, JsonSchema)]
struct Key<'a> {
    /// Hex SHA-256 of its SPKI DER.
    keyid: &'a str,
    algorithm: &'static str,
    /// PEM.
    public_key: &'a str,
}

/// Every key that ever signed, the one in use first.
pub(in crate::web) async fn list(State(app): State<AppState>) -> Answer {
    fn key(PublicKey { id, pem }: &PublicKey) -> Key<'_> {
        Key { keyid: id, algorithm: "ed25519", public_key: pem }
    }
    Ok(Json(List { keys: app.keys.iter().map(key).collect() }).into_response())
}
