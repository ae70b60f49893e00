//! Strong validators of JSON answers: what has not changed is not sent again.
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use super::error::WebError;

/// Tags a good answer to GET, and answers 304 where the client has it.
pub(super) async fn revalidate(mut request: Request, next: Next) -> Response {
    let wanted = request.headers().get(header::IF_NONE_MATCH).cloned();
    if request.method() == Method::HEAD {
        // The tag is that of the body, so it must be made; the outer router takes it away again.
        *request.method_mut() = Method::GET;
    }
    let response = next.run(request).await;
    let json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if response.status() != StatusCode::OK || !json {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // JSON answers are in memory already, whole.
    let bytes = match to_bytes(body, usize::MAX).await {
        Ok(bytes) => bytes,
        Err(error) => return WebError::internal(&error).into_response(),
    };
    let tag = tag(&bytes);
    let same = wanted.is_some_and(|wanted| matches(&wanted, &tag));
    about(&mut parts.headers, tag);
    if same {
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.status = StatusCode::NOT_MODIFIED;
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

fn tag(bytes: &Bytes) -> String {
    format!("\"{}\"", hex::encode(&Sha256::digest(bytes)[..16]))
}

/// Kept by the client alone, and asked about each time.
fn about(headers: &mut HeaderMap, tag: String) {
    headers.insert(header::ETAG, HeaderValue::try_from(tag).expect("hex digits are a header value"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("authorization, cookie"));
}

/// `If-None-Match`: a list of tags, weak or strong, or `*`.
fn matches(wanted: &HeaderValue, tag: &str) -> bool {
    let Ok(text) = wanted.to_str() else { return false };
    text.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_a_list() {
        let tag = tag(&Bytes::from_static(b"{}"));
        for same in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            assert!(matches(&HeaderValue::try_from(same).unwrap(), &tag));
        }
        for other in ["", "\"x\"", &tag[1..5], "x*"] {
            assert!(!matches(&HeaderValue::from_str(other).unwrap(), &tag), "{other}");
        }
    }
}
