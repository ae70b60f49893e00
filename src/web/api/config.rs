//! `GET /api/v1/config/status` and `POST /api/v1/config/sync`.
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::auth::noted;
use crate::model::Action;
use crate::store::apply::Changes;
use crate::store::config_commits::{self, ConfigCommitRow};
use crate::store::{Durability, StoreError, View};
use crate::web::access;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// What is in force, and why not something newer.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ConfigStatus")]
pub(in crate::web) struct Status {
    /// The newest commit is in force and the config repo can be looked at.
    ok: bool,
    in_force: Option<InForce>,
    last_seen: Option<Seen>,
    /// What is wrong with the commit seen last.
    errors: Vec<Mistake>,
    /// What the commit in force changed.
    changes: Option<Changes>,
    last_attempt: Option<Timestamp>,
    unreachable_since: Option<Timestamp>,
    /// Why the config repo cannot be looked at.
    error: Option<String>,
}

/// The commit in force.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ConfigInForce")]
struct InForce {
    commit: String,
    applied_at: Option<Timestamp>,
}

/// The commit that was looked at last.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ConfigSeen")]
struct Seen {
    commit: String,
    seen_at: Timestamp,
    applied_at: Option<Timestamp>,
}

/// A mistake in the config repo. One that another release recorded may have its message alone.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "ConfigMistake")]
pub(in crate::web) struct Mistake {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) column: Option<u32>,
    pub(in crate::web) message: String,
    /// What to write instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) fix: Option<String>,
    /// The line as it stands there, unless it may hold a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) text: Option<String>,
}

/// What was asked for.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SyncOutcome")]
pub(in crate::web) struct Outcome {
    outcome: &'static str,
}

/// The commit in force, the one seen last, and what is wrong with that.
pub(in crate::web) async fn status(State(app): State<AppState>, visitor: Visitor) -> Answer {
    access::allow(&visitor, Action::ReadConfigStatus)?;
    let (in_force, last) = app.store.read(both).await?;
    let errors = last.as_ref().map(errors).unwrap_or_default();
    let looked = (app.hooks.config)();
    let changes = in_force.as_ref().and_then(|row| row.changes.as_deref());
    let body = Status {
        ok: in_force.is_some() && errors.is_empty() && looked.error.is_none(),
        changes: changes.and_then(|text| serde_json::from_str(text).ok()),
        in_force: in_force.map(|row| InForce { commit: row.sha, applied_at: row.applied_at }),
        last_seen: last.map(|row| Seen { commit: row.sha, seen_at: row.seen_at, applied_at: row.applied_at }),
        errors,
        last_attempt: looked.last_attempt,
        unreachable_since: looked.unreachable_since,
        error: looked.error,
    };
    Ok(Json(body).into_response())
}

/// Asks for a look at the config repo.
pub(in crate::web) async fn sync(State(app): State<AppState>, visitor: Visitor) -> Answer {
    ask(&app, &visitor).await?;
    Ok((StatusCode::ACCEPTED, Json(Outcome { outcome: "a sync was asked for" })).into_response())
}

/// Notes who asked, and asks.
pub(in crate::web) async fn ask(app: &AppState, visitor: &Visitor) -> Answer<()> {
    let authorized = access::allow(visitor, Action::SyncConfig)?;
    app.store.write("web.sync_note", Durability::Progress, move |tx| noted(tx, &authorized, "config", "")).await?;
    (app.hooks.sync)();
    Ok(())
}

/// The commit in force and the one seen last.
pub(in crate::web) fn both(view: &View<'_>) -> Result<(Option<ConfigCommitRow>, Option<ConfigCommitRow>), StoreError> {
    Ok((config_commits::in_force(view)?, config_commits::find_last(view)?))
}

/// The recorded errors of a commit, each with file, line, column, message, fix.
pub(in crate::web) fn errors(row: &ConfigCommitRow) -> Vec<Mistake> {
    let Some(text) = row.errors.as_deref() else { return Vec::new() };
    serde_json::from_str(text).unwrap_or_else(|_| {
        // Written by another release, or a plain sentence: shown as it is.
        vec![Mistake { message: text.to_owned(), ..Mistake::default() }]
    })
}
