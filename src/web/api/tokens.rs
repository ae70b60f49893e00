//! `GET`, `POST /api/v1/tokens` and `DELETE /api/v1/tokens/{id}`.
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::body::object;
use crate::auth::Scope;
use crate::auth::tokens::{self, Made, Wish};
use crate::model::{Action, TokenId};
use crate::web::access;
use crate::web::cursor::Cursors;
use crate::web::error::{Answer, WebError};
use crate::web::query::{PageQuery, Query};
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// What a token is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TokenRequest")]
pub(in crate::web) struct Request {
    /// A name to know it by.
    #[schemars(length(min = 1, max = 100))]
    pub(in crate::web) name: String,
    /// How long it works.
    #[serde(default = "usual_days")]
    #[schemars(range(min = 1, max = 366))]
    pub(in crate::web) days: u32,
    /// It may only read.
    #[serde(default)]
    pub(in crate::web) read_only: bool,
    /// It reaches only this pipeline.
    #[serde(default)]
    pub(in crate::web) pipeline: Option<String>,
}

const fn usual_days() -> u32 {
    90
}

/// The visitor's tokens.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TokenList")]
pub(in crate::web) struct List {
    /// Newest first: at most 100 that work, and those that ended.
    tokens: Vec<Token>,
    /// The cursor of the next page; none: this is the last.
    next: Option<String>,
}

/// An API token, without its text.
#[derive(Serialize, JsonSchema)]
struct Token {
    id: TokenId,
    name: String,
    /// `read`, `pipeline:…`; none: whatever its owner may do.
    scopes: Vec<String>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    /// Neither expired nor revoked.
    works: bool,
}

/// A new token.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewToken")]
pub(in crate::web) struct New<'a> {
    id: TokenId,
    /// Shown in this answer and nowhere else.
    token: &'a str,
    expires_at: Timestamp,
}

/// The visitor's tokens, without their texts.
pub(in crate::web) async fn list(
    State(app): State<AppState>,
    visitor: Visitor,
    Query(query): Query<PageQuery>,
) -> Answer {
    let authorized = access::allow(&visitor, Action::ManageOwnTokens)?;
    let list = Cursors::of("tokens", &visitor.caller.principal.label());
    let before = list.read(query.cursor.as_deref())?;
    let limit = query.limit()?;
    let rows = tokens::page(&app.store, &authorized, before, limit).await?;
    let next = rows.last().filter(|_| rows.len() == limit as usize).map(|row| list.write(&row.id));
    let now = app.now();
    let tokens = rows.into_iter().map(|row| Token {
        works: tokens::works(&row, now),
        id: row.id,
        name: row.name,
        scopes: row.scopes,
        created_at: row.created_at,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
        last_used_at: row.last_used_at,
    });
    Ok(Json(List { tokens: tokens.collect(), next }).into_response())
}

/// Makes a token; its text is in this answer and nowhere else.
pub(in crate::web) async fn create(
    State(app): State<AppState>,
    visitor: Visitor,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    access::allow(&visitor, Action::ManageOwnTokens)?;
    let request = object(&headers, &body)?;
    let made = make(&app, &visitor, request).await?;
    let answer = New { id: made.id, token: made.text.expose(), expires_at: made.expires_at };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Revokes one of the visitor's tokens.
pub(in crate::web) async fn revoke(State(app): State<AppState>, visitor: Visitor, Path(id): Path<String>) -> Answer {
    let authorized = access::allow(&visitor, Action::ManageOwnTokens)?;
    let id: TokenId = id.parse().map_err(|_| WebError::not_found())?;
    match tokens::revoke(&app.store, authorized, id).await? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(WebError::not_found()),
    }
}

/// Makes a token of a request; a pipeline that the visitor may not see is none.
pub(in crate::web) async fn make(app: &AppState, visitor: &Visitor, request: Request) -> Answer<Made> {
    let authorized = access::allow(visitor, Action::ManageOwnTokens)?;
    let pipeline = match request.pipeline.filter(|name| !name.trim().is_empty()) {
        Some(name) => {
            let known = access::pipeline(app, visitor, name.trim().to_owned(), Action::ReadPipeline).await;
            let (_read, row) = known.map_err(|_| WebError::bad_request(format!("there is no pipeline '{name}'")))?;
            Some(row.id)
        }
        None => None,
    };
    let scope = Scope { read_only: request.read_only, pipeline };
    let wish = Wish { name: request.name, days: request.days, scope };
    Ok(tokens::create(&app.store, app.ids.as_ref(), authorized, wish).await?)
}
