//! What every answer carries, whoever made it.
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

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
    let method = request.method().clone();
    let mut response = next.run(request).await;
    if let Some(error) = refusal(&response, page) {
        let wrong_verb = response.status() == StatusCode::METHOD_NOT_ALLOWED;
        let mut kept = std::mem::take(response.headers_mut());
        kept.remove(header::CONTENT_TYPE);
        kept.remove(header::CONTENT_LENGTH);
        response = match method {
            // The router adds `Allow` outside of this layer.
            Method::OPTIONS if wrong_verb => StatusCode::NO_CONTENT.into_response(),
            _ if page => error.page(),
            _ => error.problem(),
        };
        response.headers_mut().extend(kept);
    }
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Our words for a refusal: of a handler, or of the framework (no such route, wrong verb, a body too large).
fn refusal(response: &Response, page: bool) -> Option<WebError> {
    if let Some(error) = response.extensions().get::<WebError>() {
        return Some(error.clone());
    }
    let status = response.status();
    let ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
        [b"application/problem+json".as_slice(), b"text/html; charset=utf-8"].contains(&kind.as_bytes())
    });
    if !status.is_client_error() || ours || status == StatusCode::RANGE_NOT_SATISFIABLE {
        return None;
    }
    Some(match status {
        StatusCode::NOT_FOUND => WebError::not_found(),
        StatusCode::METHOD_NOT_ALLOWED => WebError::new(
            status,
            "Not that way",
            "This address does not answer to this method; the header `Allow` says to which it does.",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => WebError::new(status, "Too large", "The body is larger than is taken here."),
        StatusCode::UNSUPPORTED_MEDIA_TYPE if page => WebError::new(status, "Not a form", "A form is taken here."),
        _ => WebError::new(status, "The request is wrong", "The request could not be read; check its fields."),
    })
}
