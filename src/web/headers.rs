//! What every answer carries, whoever made it.
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use super::error::{WebError, wants_page};

const CSP: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                   form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const ALWAYS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CSP),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Gives errors their form, and every answer its headers. The outermost layer.
pub(super) async fn secure(request: Request, next: Next) -> Response {
    let page = wants_page(request.uri().path(), request.headers());
    let response = next.run(request).await;
    let mut response = match response.extensions().get::<WebError>() {
        Some(error) if page => error.page(),
        Some(error) => error.problem(),
        None => plain_refusal(response, page),
    };
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// What the framework itself refuses (no such route, wrong verb, a body too large) in our words.
fn plain_refusal(response: Response<Body>, page: bool) -> Response {
    use axum::http::StatusCode;
    let status = response.status();
    if !status.is_client_error() {
        return response;
    }
    let ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
        [b"application/problem+json".as_slice(), b"text/html; charset=utf-8"].contains(&kind.as_bytes())
    });
    if ours || status == StatusCode::RANGE_NOT_SATISFIABLE {
        return response;
    }
    let error = match status {
        StatusCode::NOT_FOUND => WebError::not_found(),
        StatusCode::METHOD_NOT_ALLOWED => {
            WebError::new(status, "Not that way", "This address does not answer to this method.")
        }
        StatusCode::PAYLOAD_TOO_LARGE => WebError::new(status, "Too large", "The body is larger than is taken here."),
        _ => WebError::new(status, "The request is wrong", "The request could not be read; check its fields."),
    };
    if page { error.page() } else { error.problem() }
}
