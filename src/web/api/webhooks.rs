//! `POST /webhooks/{forge}` and `POST /webhooks/{forge}/{name}`.
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::DeliveryId;
use crate::trigger::{Accepted, Headers, Rejected, accept};
use crate::web::error::{Answer, WebError};
use crate::web::state::AppState;

/// What became of a delivery.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeliveryOutcome")]
pub(in crate::web) struct Outcome {
    /// `received`, or `already received`.
    outcome: &'static str,
    /// Its id here, where it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<DeliveryId>,
}

/// A delivery for the webhook named `default`.
pub(in crate::web) async fn unnamed(
    State(app): State<AppState>,
    Path(forge): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    receive(&app, &forge, "default", &headers, &body).await
}

/// A delivery for a named webhook.
pub(in crate::web) async fn named(
    State(app): State<AppState>,
    Path((forge, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    receive(&app, &forge, &name, &headers, &body).await
}

/// 202 only after the delivery is stored; what was not stored is the forge's to send again.
async fn receive(app: &AppState, forge: &str, name: &str, headers: &HeaderMap, body: &[u8]) -> Answer {
    let given: Headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    match accept(&app.trigger, forge, name, &given, body).await {
        Ok(Accepted::New(id)) => {
            Ok((StatusCode::ACCEPTED, Json(Outcome { outcome: "received", delivery: Some(id) })).into_response())
        }
        Ok(Accepted::SeenBefore) => Ok(Json(Outcome { outcome: "already received", delivery: None }).into_response()),
        Err(rejected) => Err(refusal(&rejected)),
    }
}

fn refusal(rejected: &Rejected) -> WebError {
    let status = StatusCode::from_u16(rejected.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let detail = match rejected {
        Rejected::Store(error) => {
            tracing::error!(error = %error, "a webhook delivery was not stored");
            "the delivery could not be stored; send it again later".to_owned()
        }
        other => other.to_string(),
    };
    let error = WebError::new(status, "The delivery was not taken", detail);
    match rejected.retry_after() {
        Some(seconds) => error.retry_after(u64::from(seconds)),
        None => error,
    }
}
