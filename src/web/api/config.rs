//! `GET /api/v1/config/status` and `POST /api/v1/config/sync`.
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::auth::noted;
use crate::model::Action;
use crate::store::config_commits::{self, ConfigCommitRow};
use crate::store::{Durability, StoreError, View};
use crate::web::access;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// The commit in force, the one seen last, and what is wrong with that.
pub(in crate::web) async fn status(State(app): State<AppState>, visitor: Visitor) -> Answer {
    access::allow(&visitor, Action::ReadConfigStatus)?;
    let (in_force, last) = app.store.read(both).await?;
    let errors = last.as_ref().map(errors).unwrap_or_default();
    let looked = (app.hooks.config)();
    let body = json!({
        "ok": in_force.is_some() && errors.is_empty() && looked.error.is_none(),
        "in_force": in_force.map(|row| json!({ "commit": row.sha, "applied_at": row.applied_at })),
        "last_seen": last.map(|row| json!({ "commit": row.sha, "seen_at": row.seen_at, "applied_at": row.applied_at })),
        "errors": errors,
        "last_attempt": looked.last_attempt,
        "unreachable_since": looked.unreachable_since,
        "error": looked.error,
    });
    Ok(Json(body).into_response())
}

/// Asks for a look at the config repo.
pub(in crate::web) async fn sync(State(app): State<AppState>, visitor: Visitor) -> Answer {
    ask(&app, &visitor).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "outcome": "a sync was asked for" }))).into_response())
}

/// Notes who asked, and asks.
pub(in crate::web) async fn ask(app: &AppState, visitor: &Visitor) -> Answer<()> {
    let authorized = access::allow(visitor, Action::SyncConfig)?;
    app.store.write(Durability::Progress, move |tx| noted(tx, &authorized, "config", "")).await?;
    (app.hooks.sync)();
    Ok(())
}

/// The commit in force and the one seen last.
pub(in crate::web) fn both(view: &View<'_>) -> Result<(Option<ConfigCommitRow>, Option<ConfigCommitRow>), StoreError> {
    Ok((config_commits::in_force(view)?, config_commits::find_last(view)?))
}

/// The recorded errors of a commit, each with file, line, column, message, fix.
pub(in crate::web) fn errors(row: &ConfigCommitRow) -> Vec<Value> {
    let parsed = row.errors.as_deref().map(serde_json::from_str::<Value>);
    match parsed {
        None => Vec::new(),
        Some(Ok(Value::Array(list))) => list,
        // Written by another release, or a plain sentence: shown as it is.
        Some(Ok(other)) => vec![json!({ "message": other })],
        Some(Err(_)) => vec![json!({ "message": row.errors })],
    }
}
