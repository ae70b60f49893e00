//! The one place where errors become answers: problem+json for the API, a page for browsers.
use askama::Template;
use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::auth::{AuthError, Denied};
use crate::store::StoreError;

/// What went wrong (RFC 9457).
#[derive(Serialize, JsonSchema)]
pub(super) struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    /// What kind of thing went wrong, in a few words.
    title: &'a str,
    /// The status of the answer.
    status: u16,
    /// A sentence for people: what was tried, why it failed, what to do.
    detail: &'a str,
}

/// Why a request has no other answer. What a stranger must not learn is not in it.
#[derive(Debug, Clone)]
pub(super) struct WebError {
    status: StatusCode,
    title: &'static str,
    detail: String,
    retry_after: Option<u64>,
}

/// A handler's result.
pub(super) type Answer<T = Response> = Result<T, WebError>;

impl WebError {
    /// An error with its sentence for people.
    pub(super) fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into(), retry_after: None }
    }

    /// The same request may succeed after some seconds.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds.max(1)), ..self }
    }

    /// Nothing there, or nothing that this caller may see: the two look the same.
    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "Not found",
            "There is nothing here, or you may not see it. Teams and permissions stand in the config repository.",
        )
    }

    /// Is it the answer for what is not there, or must not be seen?
    pub(super) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// Somebody must log in first.
    pub(super) fn unauthorised() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "Log in first",
            "This needs a session or a valid token: send `Authorization: Bearer danube_…`.",
        )
    }

    /// The request itself is wrong.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "The request is wrong", detail)
    }

    /// The body was read, and says what cannot be done.
    pub(super) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "The body is not as expected", detail)
    }

    /// A form of another site, or an old page.
    pub(super) fn forged() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "The form is not from this page",
            "The request did not carry this session's form token, or came from another site. Nothing was changed. \
             Load the page again and repeat it.",
        )
    }

    /// Too often; try again after some seconds.
    pub(super) fn too_many(seconds: u64, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many attempts", detail).retry_after(seconds)
    }

    /// The request, or the answer to it, took too long.
    pub(super) fn too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "Too slow",
            "The request did not come whole, or was not answered, in two minutes. Send it again.",
        )
    }

    /// Something of ours broke. The cause goes to the log, not to the answer.
    pub(super) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %cause, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong here",
            "The server could not answer; nothing was changed halfway. Try again; if it stays, whoever runs the server \
             finds the reason in its log (`journalctl -u danube`).",
        )
    }

    /// The sentence, where the request was wrong: a form shows it beside its fields. Other errors stay.
    pub(super) fn sentence_of_request(self) -> Answer<String> {
        if self.status == StatusCode::BAD_REQUEST { Ok(self.detail) } else { Err(self) }
    }

    /// The API's form.
    pub(super) fn problem(&self) -> Response {
        let body =
            Problem { kind: "about:blank", title: self.title, status: self.status.as_u16(), detail: &self.detail };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"danube\""));
        }
        self.with_retry(response)
    }

    /// The browser's form.
    pub(super) fn page(&self) -> Response {
        let page = ErrorPage {
            status: self.status.as_u16(),
            title: self.title,
            detail: &self.detail,
            missing: self.is_not_found(),
        };
        let body = page.render().unwrap_or_else(|_| self.title.to_owned());
        self.with_retry((self.status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], body).into_response())
    }

    fn with_retry(&self, mut response: Response) -> Response {
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[derive(Template)]
#[template(path = "error.html", config = "templates/askama.toml")]
struct ErrorPage<'a> {
    status: u16,
    title: &'a str,
    detail: &'a str,
    missing: bool,
}

/// Does the client want pages?
pub(super) fn wants_page(path: &str, headers: &HeaderMap) -> bool {
    let machine =
        ["/api/", "/webhooks/", "/health", "/metrics", "/.well-known/"].iter().any(|prefix| path.starts_with(prefix));
    !machine
        && headers
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_none_or(|accept| accept.contains("text/html") || accept.contains("*/*"))
}

/// Carried by a response until the outermost layer knows which form the client wants.
impl IntoResponse for WebError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for WebError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::not_found(),
            StoreError::Conflict { .. } => {
                Self::new(StatusCode::CONFLICT, "That contradicts what is there", error.to_string())
            }
            StoreError::Busy { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "Busy", "The server is busy; try again in a moment.")
                    .retry_after(1)
            }
            StoreError::Full { .. } => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "The disk is full",
                "The server's disk is full. Nothing was changed; whoever runs it has to free some space.",
            ),
            StoreError::Disk { .. } => {
                tracing::error!(%error, "a request failed");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The data directory can't be used",
                    "The server cannot store or read anything just now: its disk is read-only or gives errors. Nothing was \
                     changed; whoever runs it finds what to do in its log and under /health/ready.",
                )
                .retry_after(5)
            }
            other => Self::internal(&other),
        }
    }
}

impl From<Denied> for WebError {
    fn from(denied: Denied) -> Self {
        tracing::info!(who = %denied.who, action = denied.action.as_str(), "denied");
        Self::not_found()
    }
}

impl From<AuthError> for WebError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::TooMany { seconds } => Self::too_many(seconds, error.to_string()),
            AuthError::Invalid { .. } => Self::bad_request(error.to_string()),
            AuthError::Store(source) => source.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_pages_and_scripts_get_problems() {
        let accept = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(value));
            headers
        };
        assert!(wants_page("/jobs/x", &accept("text/html,*/*")));
        assert!(!wants_page("/jobs/x", &accept("application/json")));
        assert!(!wants_page("/api/v1/jobs", &accept("text/html")));
        assert!(!wants_page("/webhooks/github", &HeaderMap::new()));
    }

    #[test]
    fn an_inner_error_does_not_reach_the_client() {
        let error = WebError::internal(&"no such table: secrets at /var/lib/danube");
        assert!(!error.detail.contains("table"));
    }
}
