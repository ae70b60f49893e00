//! Stands before every handler: who is it, and is the request really theirs.
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::cookie;
use super::error::{Answer, WebError};
use super::limits::{Left, Who};
use super::peer::{Peer, client};
use super::state::AppState;
use super::visitor::{How, Visitor};
use crate::auth::csrf::{self, Origin};
use crate::auth::{Caller, sessions, tokens};

/// Who may come as far as the handler. What they may do there, `authorize` decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody: login, health, keys, static files, webhooks.
    Open,
    /// Somebody known; browsers are led to the login.
    Page,
    /// Somebody known; others get 401.
    Api,
    /// root or the service user on the machine; for others it is not there.
    Machine,
}

/// Forms of pages are small.
pub(super) const FORM: usize = 64 * 1024;

/// Lets a request through to its handler, or answers for it.
pub(super) async fn guard(State((app, access)): State<(AppState, Access)>, request: Request, next: Next) -> Response {
    let stranger = stranger(&app, &request);
    let admitted = admit(&app, access, request).await;
    let known = admitted.as_ref().ok().and_then(|request| request.extensions().get::<Visitor>());
    let counted = known.map_or(stranger, |visitor| visitor.counted());
    let left = counted.map(|who| app.limits.take(who, app.now()));
    let mut response = match (left.and_then(Left::refusal), admitted) {
        (Some(refusal), _) => refusal.into_response(),
        (None, Ok(request)) => next.run(request).await,
        (None, Err(refusal)) => refusal,
    };
    if let Some(left) = left {
        left.tell(&mut response);
    }
    response
}

/// Whose bucket somebody takes from who is not known. Probes and static files are nobody's.
fn stranger(app: &AppState, request: &Request) -> Option<Who> {
    let peer = request.extensions().get::<Peer>().copied();
    let path = request.uri().path();
    if peer == Some(Peer::Machine) || path.starts_with("/health") || path.starts_with("/static/") {
        return None;
    }
    let address = client(peer, request.headers(), &app.trusted_proxies);
    Some(if path.starts_with("/webhooks/") { Who::Forge(address) } else { Who::Address(address) })
}

async fn admit(app: &AppState, access: Access, mut request: Request) -> Result<Request, Response> {
    if access == Access::Open {
        return Ok(request);
    }
    let peer = request.extensions().get::<Peer>().copied();
    let visitor = identify(app, peer, request.headers()).await.map_err(IntoResponse::into_response)?;
    let visitor = match (visitor, access) {
        (Some(visitor), Access::Machine) if !matches!(visitor.how, How::Machine) => {
            return Err(WebError::not_found().into_response());
        }
        (Some(visitor), _) => visitor,
        (None, Access::Machine) => return Err(WebError::not_found().into_response()),
        (None, Access::Page) => return Err(to_login(&request)),
        (None, _) => return Err(WebError::unauthorised().into_response()),
    };
    if let How::Session { cookie, .. } = &visitor.how
        && !request.method().is_safe()
    {
        request = from_own_page(app, cookie, request).await.map_err(IntoResponse::into_response)?;
    }
    request.extensions_mut().insert(visitor);
    Ok(request)
}

/// The machine's socket, then a token, then a cookie. A token that does not work is not covered by a cookie.
async fn identify(app: &AppState, peer: Option<Peer>, headers: &HeaderMap) -> Answer<Option<Visitor>> {
    if peer == Some(Peer::Machine) {
        return Ok(Some(Visitor { caller: Caller::local_admin(), how: How::Machine }));
    }
    let now = app.now();
    if let Some(authorization) = headers.get(header::AUTHORIZATION) {
        let text = authorization.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let caller = tokens::find(&app.store, text.trim(), now).await?.ok_or_else(WebError::unauthorised)?;
        return Ok(Some(Visitor { caller, how: How::Token }));
    }
    let Some(cookie) = cookie::get(headers, cookie::SESSION) else { return Ok(None) };
    let session = sessions::find(&app.store, cookie, now).await?;
    Ok(session.map(|session| Visitor {
        caller: session.caller,
        how: How::Session { id: session.id, cookie: cookie.to_owned() },
    }))
}

/// Who a visitor is by now; none: it may not come in any more.
pub(super) async fn identify_again(app: &AppState, before: &Visitor, headers: &HeaderMap) -> Answer<Option<Visitor>> {
    let peer = matches!(before.how, How::Machine).then_some(Peer::Machine);
    identify(app, peer, headers).await
}

fn to_login(request: &Request) -> Response {
    if request.method() != Method::GET {
        return Redirect::to("/login").into_response();
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let back: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
    let target = if path == "/" { "/login".to_owned() } else { format!("/login?return_to={back}") };
    Redirect::to(&target).into_response()
}

/// A change that a browser asks for must come from our own page and carry its session's token: in
/// the header `X-CSRF-Token`, or in the field `csrf` of a form.
async fn from_own_page(app: &AppState, cookie: &str, request: Request) -> Answer<Request> {
    if !same_site(app, request.headers()) {
        return Err(WebError::forged());
    }
    if let Some(token) = request.headers().get("x-csrf-token") {
        let right = token.to_str().is_ok_and(|token| csrf::matches(cookie, token));
        return if right { Ok(request) } else { Err(WebError::forged()) };
    }
    let is_form = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
    });
    if !is_form {
        return Err(WebError::forged());
    }
    let (parts, body) = request.into_parts();
    let bytes = read(body).await?;
    let right =
        url::form_urlencoded::parse(&bytes).any(|(name, value)| name == "csrf" && csrf::matches(cookie, &value));
    if right { Ok(Request::from_parts(parts, Body::from(bytes))) } else { Err(WebError::forged()) }
}

async fn read(body: Body) -> Answer<Bytes> {
    to_bytes(body, FORM).await.map_err(|_| {
        WebError::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large", "The form is larger than 64 KiB, or broke off.")
    })
}

/// Does the request come from a page of this server, as far as the browser says?
pub(super) fn same_site(app: &AppState, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &axum::http::HeaderValue| value.to_str().unwrap_or("null"));
    let said = Origin { origin: text("origin"), fetch_site: text("sec-fetch-site") };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let mut ours: Vec<String> = app.public_url.as_deref().map(origin_of).into_iter().collect();
    if let Some(host) = host {
        ours.push(format!("https://{host}"));
        // Without `public_url`, a proxy in front may speak TLS or not; with https, nothing else is ours.
        if !app.secure_cookies() {
            ours.push(format!("http://{host}"));
        }
    }
    csrf::same_site(said, &ours)
}

fn origin_of(url: &str) -> String {
    url.split('/').take(3).collect::<Vec<_>>().join("/")
}
