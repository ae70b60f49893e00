//! JSON bodies of requests.
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::web::error::{Answer, WebError};

/// Reads an object. A list would pass for one whose fields have defaults, so it is refused first.
pub(super) fn object<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Answer<T> {
    if let Some(kind) = headers.get(header::CONTENT_TYPE)
        && !is_json(kind.to_str().unwrap_or_default())
    {
        return Err(WebError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Not in this form",
            "The body is taken as JSON alone: send `Content-Type: application/json`.",
        ));
    }
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(WebError::unprocessable("The body is to be a JSON object, {\"field\": …}."));
    }
    serde_json::from_slice(bytes).map_err(|error| WebError::unprocessable(format!("The body: {error}.")))
}

fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_is_taken_for_json() {
        for json in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
            assert!(is_json(json), "{json}");
        }
        for other in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "text/x+json"] {
            assert!(!is_json(other), "{other}");
        }
    }
}
