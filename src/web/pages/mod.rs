//! The console's pages: one file each, with a template of its own name. The struct is everything that
//! the page may show; it reads whole without any script.

pub(super) mod components;
pub(super) mod audit;
pub(super) mod config;
pub(super) mod dashboard;
pub(super) mod find;
pub(super) mod job;
pub(super) mod link;
pub(super) mod log;
pub(super) mod login;
pub(super) mod pipeline;
pub(super) mod pipelines;
pub(super) mod test_case;
pub(super) mod test_history;
pub(super) mod tests;
pub(super) mod secrets;
pub(super) mod system;
pub(super) mod tokens;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};

use super::error::{Answer, WebError};

/// A page as an answer.
fn render(page: &impl Template) -> Answer<Response> {
    page.render().map(|html| Html(html).into_response()).map_err(|e| WebError::internal(&e))
}
