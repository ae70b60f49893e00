//! What the proxy itself answers, in the registries' own form.
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

/// A refusal. The codes are those of the distribution specification: clients print the message of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    /// No credential, or a wrong one.
    pub(super) fn unknown() -> Self {
        let message =
            "danube: this registry knows the job's own credential alone, which lies in $DOCKER_CONFIG/config.json";
        Self { status: StatusCode::UNAUTHORIZED, code: "UNAUTHORIZED", message: message.to_owned() }
    }

    /// Not for this job.
    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, code: "DENIED", message: message.into() }
    }

    /// No such address.
    pub(super) fn no_such() -> Self {
        let message = "danube: no address of a registry".to_owned();
        Self { status: StatusCode::NOT_FOUND, code: "NAME_UNKNOWN", message }
    }

    /// Not a repository that this job may know of: said like one that does not exist.
    pub(super) fn hidden(repository: &str) -> Self {
        let message = format!("danube: there is no repository '{repository}' that this pipeline may read");
        Self { status: StatusCode::NOT_FOUND, code: "NAME_UNKNOWN", message }
    }

    /// What can't be done here.
    pub(super) fn unsupported(message: &str) -> Self {
        Self { status: StatusCode::METHOD_NOT_ALLOWED, code: "UNSUPPORTED", message: message.to_owned() }
    }

    /// A manifest that is too large.
    pub(super) fn too_large(message: &str) -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, code: "MANIFEST_INVALID", message: message.to_owned() }
    }

    /// It may go later.
    pub(super) fn unavailable(why: impl std::fmt::Display) -> Self {
        let message = format!("danube: {why}");
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code: "UNAVAILABLE", message }
    }

    /// As a response.
    pub(super) fn response(self) -> Response<Body> {
        let body = serde_json::json!({ "errors": [{ "code": self.code, "message": self.message }] });
        let mut response = Response::new(Body::from(format!("{body}\n")));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"danube\""));
        }
        response
    }
}
