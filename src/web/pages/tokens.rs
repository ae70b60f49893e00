//! `/tokens`: the visitor's API tokens.
use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

use super::render;
use crate::auth::tokens;
use crate::model::{Action, TokenId};
use crate::store::tokens::TokenRow;
use crate::web::access;
use crate::web::api::tokens as api;
use crate::web::error::{Answer, WebError};
use crate::web::parts::{Chrome, chrome};
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

struct Line {
    id: TokenId,
    name: String,
    scope: String,
    expires: String,
    used: String,
    live: bool,
    /// Why it no longer works.
    over: &'static str,
    /// It stops within the week.
    soon: Option<String>,
}

/// A token that stops within this time is marked.
const SOON_DAYS: i64 = 7;

#[derive(Template)]
#[template(path = "tokens.html", config = "templates/askama.toml")]
struct Page {
    chrome: Chrome,
    made: Option<String>,
    tokens: Vec<Line>,
    /// Pipelines that a token can be narrowed to.
    pipelines: Vec<String>,
    /// Where the API is.
    server: String,
}

/// The list with the form.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor) -> Answer {
    page(&app, &visitor, None).await
}

/// What the form sends.
#[derive(Deserialize)]
pub(in crate::web) struct Fields {
    name: String,
    days: u32,
    #[serde(default)]
    pipeline: String,
    #[serde(default)]
    read_only: Option<String>,
}

/// Makes a token and shows it, this once.
pub(in crate::web) async fn make(State(app): State<AppState>, visitor: Visitor, Form(fields): Form<Fields>) -> Answer {
    let request = api::Request {
        name: fields.name,
        days: fields.days,
        read_only: fields.read_only.is_some(),
        pipeline: Some(fields.pipeline),
    };
    let made = api::make(&app, &visitor, request).await?;
    page(&app, &visitor, Some(made.text.expose().clone())).await
}

/// Revokes a token.
pub(in crate::web) async fn revoke(State(app): State<AppState>, visitor: Visitor, Path(id): Path<String>) -> Answer {
    let authorized = access::allow(&visitor, Action::ManageOwnTokens)?;
    let id: TokenId = id.parse().map_err(|_| WebError::not_found())?;
    match tokens::revoke(&app.store, authorized, id).await? {
        true => Ok(Redirect::to("/tokens").into_response()),
        false => Err(WebError::not_found()),
    }
}

async fn page(app: &AppState, visitor: &Visitor, made: Option<String>) -> Answer {
    let authorized = access::allow(visitor, Action::ManageOwnTokens)?;
    let rows = tokens::list(&app.store, &authorized).await?;
    let names = access::readable(app, visitor).await?;
    let now = app.now();
    let line = |row: TokenRow| {
        let scope = tokens::scope(&row.scopes).unwrap_or_default();
        let on = scope.pipeline.map(|id| {
            names.iter().find(|row| row.id == id).map_or_else(|| "a pipeline".to_owned(), |row| row.name.clone())
        });
        let what = if scope.read_only { "read" } else { "all" };
        let live = tokens::works(&row, now);
        let days = row.expires_at.map(|at| (at.as_second() - now.as_second()) / 86_400).filter(|_| live);
        Line {
            live,
            over: if row.revoked_at.is_some() { "revoked" } else { "expired" },
            soon: days.filter(|days| *days < SOON_DAYS).map(|days| match days {
                0 => "today".to_owned(),
                1 => "in 1 day".to_owned(),
                days => format!("in {days} days"),
            }),
            scope: format!("{what} · {}", on.as_deref().unwrap_or("every pipeline")),
            expires: row.expires_at.map_or_else(|| "never".to_owned(), |at| at.strftime("%Y-%m-%d").to_string()),
            used: row.last_used_at.map_or_else(|| "never".to_owned(), |at| at.strftime("%Y-%m-%d").to_string()),
            id: row.id,
            name: row.name,
        }
    };
    let page = Page {
        chrome: chrome(app, visitor, "tokens").await?,
        made,
        tokens: rows.into_iter().map(line).collect(),
        pipelines: names.iter().map(|row| row.name.clone()).collect(),
        server: app.public_url.clone().unwrap_or_else(|| "http://127.0.0.1:8080".to_owned()),
    };
    render(&page)
}
