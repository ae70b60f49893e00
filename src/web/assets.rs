//! The console's own files, inside the binary.
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::error::{Answer, WebError};

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// One file; checked again by its digest, so that an upgrade is seen at once.
pub(super) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Answer {
    let file = Files::get(&name).ok_or_else(WebError::not_found)?;
    let tag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..12]));
    let kind = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|seen| seen.as_bytes() == tag.as_bytes());
    let about = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::ETAG, tag),
        (header::CACHE_CONTROL, "public, no-cache".to_owned()),
    ];
    let response: Response = if known {
        (StatusCode::NOT_MODIFIED, about).into_response()
    } else {
        (about, file.data.into_owned()).into_response()
    };
    Ok(response)
}
