//! `/login` and `/logout`.
use askama::Template;
use axum::Form;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::render;
use crate::auth::login::{Attempt, with_password};
use crate::auth::{AuthError, csrf, local_path, sessions};
use crate::model::Secret;
use crate::platform::random_token;
use crate::web::cookie;
use crate::web::error::{Answer, WebError};
use crate::web::guard::same_site;
use crate::web::peer::{self, Peer};
use crate::web::state::AppState;
use crate::web::visitor::{How, Visitor};

#[derive(Template)]
#[template(path = "login.html", config = "templates/askama.toml")]
struct Page {
    problem: Option<String>,
    csrf: String,
    return_to: String,
    email: String,
}

/// Where a login leads.
#[derive(Deserialize)]
pub(in crate::web) struct Where {
    #[serde(default)]
    return_to: String,
}

/// The form.
pub(in crate::web) async fn show(State(app): State<AppState>, Query(to): Query<Where>, headers: HeaderMap) -> Answer {
    form(&app, &headers, StatusCode::OK, None, local_path(&to.return_to), "")
}

/// What the form sends.
#[derive(Deserialize)]
pub(in crate::web) struct Fields {
    csrf: String,
    #[serde(default)]
    return_to: String,
    email: String,
    password: String,
}

/// A try to log in. A wrong address and a wrong password look the same.
pub(in crate::web) async fn submit(
    State(app): State<AppState>,
    headers: HeaderMap,
    peer: Option<axum::Extension<Peer>>,
    Form(fields): Form<Fields>,
) -> Answer {
    door_checked(&app, &headers, &fields.csrf)?;
    let to = local_path(&fields.return_to).to_owned();
    let attempt = Attempt {
        email: fields.email.clone(),
        password: Secret::new(fields.password),
        address: peer::client(peer.map(|peer| peer.0), &headers, &app.trusted_proxies),
        cookie_before: cookie::get(&headers, cookie::SESSION).map(str::to_owned),
    };
    match with_password(&app.door, attempt).await {
        Ok(Some(session)) => Ok(let_in(&app, &session, &to)),
        Ok(None) => {
            let text = "The address or the password is wrong.".to_owned();
            form(&app, &headers, StatusCode::UNAUTHORIZED, Some(text), &to, &fields.email)
        }
        Err(error @ AuthError::TooMany { seconds }) => {
            let text = Some(error.to_string());
            let mut page = form(&app, &headers, StatusCode::TOO_MANY_REQUESTS, text, &to, &fields.email)?;
            page.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            Ok(page)
        }
        Err(error) => Err(error.into()),
    }
}

/// Ends the session.
pub(in crate::web) async fn leave(State(app): State<AppState>, visitor: Visitor, _request: Request) -> Answer {
    if let How::Session { id, .. } = visitor.how {
        sessions::end(&app.store, id, visitor.caller.principal).await?;
    }
    let mut response = Redirect::to("/login").into_response();
    let headers = response.headers_mut();
    headers.append(header::SET_COOKIE, cookie::clear(cookie::SESSION, app.secure_cookies()));
    headers.insert("clear-site-data", HeaderValue::from_static("\"cache\""));
    Ok(response)
}

fn form(
    app: &AppState,
    headers: &HeaderMap,
    status: StatusCode,
    problem: Option<String>,
    return_to: &str,
    email: &str,
) -> Answer {
    let (csrf, set) = door(app, headers);
    let page = Page { problem, csrf, return_to: return_to.to_owned(), email: email.chars().take(254).collect() };
    let mut response = render(&page)?;
    *response.status_mut() = status;
    if let Some(set) = set {
        response.headers_mut().append(header::SET_COOKIE, set);
    }
    Ok(response)
}

/// The token of a form that stands before any session: of a cookie that the browser holds, or is given now.
pub(super) fn door(app: &AppState, headers: &HeaderMap) -> (String, Option<HeaderValue>) {
    match cookie::get(headers, cookie::DOOR).filter(|value| value.len() >= 40) {
        Some(known) => (csrf::token(known), None),
        None => {
            let fresh = random_token(app.ids.as_ref());
            (csrf::token(&fresh), Some(cookie::set(cookie::DOOR, &fresh, app.secure_cookies())))
        }
    }
}

/// A login form must come from the browser that was given it: else somebody could log a victim in as himself.
pub(super) fn door_checked(app: &AppState, headers: &HeaderMap, token: &str) -> Answer<()> {
    let right = cookie::get(headers, cookie::DOOR).is_some_and(|door| csrf::matches(door, token));
    if right && same_site(app, headers) { Ok(()) } else { Err(WebError::forged()) }
}

/// Gives the browser its session; the door's cookie has done its work.
pub(super) fn let_in(app: &AppState, session: &Secret<String>, to: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    let headers = response.headers_mut();
    headers.append(header::SET_COOKIE, cookie::set(cookie::SESSION, session.expose(), app.secure_cookies()));
    headers.append(header::SET_COOKIE, cookie::clear(cookie::DOOR, app.secure_cookies()));
    response
}
