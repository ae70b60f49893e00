//! Pages that follow: the browser asks again with the tag of what it shows, and is sent nothing where nothing changed.
use askama::Template;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse};
use sha2::{Digest as _, Sha256};

use crate::web::error::{Answer, WebError};
use crate::web::view::JobLine;

/// Collects what a page shows, to tell one state of it from another.
#[derive(Default)]
pub(in crate::web) struct Seen(Sha256);

impl Seen {
    /// A text that is shown.
    pub(in crate::web) fn note(&mut self, text: &str) {
        // The length before the text: "a" and "bc" are not "ab" and "c".
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    /// A job that is shown; how long it has run is left to the page's own clock.
    pub(in crate::web) fn job(&mut self, job: &JobLine) {
        for text in [job.href.as_str(), job.status, &job.what, &job.who, &job.when.ago] {
            self.note(text);
        }
    }

    /// The tag.
    pub(in crate::web) fn tag(self) -> String {
        format!("\"{}\"", hex::encode(&self.0.finalize()[..12]))
    }
}

/// A page with the tag of its state; 304 for who has seen that.
pub(in crate::web) fn live(page: &impl Template, tag: &str, asked: &HeaderMap) -> Answer {
    let value = HeaderValue::from_str(tag).map_err(|e| WebError::internal(&e))?;
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|seen| seen == value);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Html(page.render().map_err(|e| WebError::internal(&e))?).into_response()
    };
    response.headers_mut().insert(header::ETAG, value);
    Ok(response)
}
