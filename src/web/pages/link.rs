//! `/login/link`: the landing of a one-time login link. Looking at it uses nothing up; the button does.
use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::login::{door, door_checked, let_in};
use super::render;
use crate::auth::links;
use crate::web::cookie;
use crate::web::error::{Answer, WebError};
use crate::web::peer::{self, Peer};
use crate::web::state::AppState;

#[derive(Template)]
#[template(path = "link.html", config = "templates/askama.toml")]
struct Page {
    csrf: String,
    token: String,
}

/// The link's query.
#[derive(Deserialize)]
pub(in crate::web) struct LinkQuery {
    #[serde(default)]
    token: String,
}

/// The page with the button.
pub(in crate::web) async fn show(
    State(app): State<AppState>,
    Query(link): Query<LinkQuery>,
    headers: HeaderMap,
) -> Answer {
    let (csrf, set) = door(&app, &headers);
    let mut response = render(&Page { csrf, token: link.token.chars().take(100).collect() })?;
    if let Some(set) = set {
        response.headers_mut().append(header::SET_COOKIE, set);
    }
    Ok(response)
}

/// What the button sends.
#[derive(Deserialize)]
pub(in crate::web) struct Fields {
    csrf: String,
    token: String,
}

/// Uses the link up.
pub(in crate::web) async fn submit(
    State(app): State<AppState>,
    headers: HeaderMap,
    peer: Option<axum::Extension<Peer>>,
    Form(fields): Form<Fields>,
) -> Answer {
    door_checked(&app, &headers, &fields.csrf)?;
    let before = cookie::get(&headers, cookie::SESSION).map(str::to_owned);
    let address = peer::client(peer.map(|peer| peer.0), &headers, &app.trusted_proxies);
    let session = links::redeem(&app.door, &fields.token, address, before).await?;
    match session {
        Some(session) => Ok(let_in(&app, &session, "/")),
        None => Err(WebError::new(
            StatusCode::GONE,
            "The link is used up",
            "A login link works once and for ten minutes. Make a new one on the machine: `danube admin link`.",
        )),
    }
}
