//! `/pipelines`.
use askama::Template;
use axum::extract::State;

use super::render;
use crate::web::access;
use crate::web::error::Answer;
use crate::web::parts::{Chrome, PipelineLine, chrome, lines};
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "pipelines.html")]
struct Page {
    chrome: Chrome,
    pipelines: Vec<PipelineLine>,
}

/// Every pipeline that the visitor may see.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor) -> Answer {
    let rows = access::readable(&app, &visitor).await?;
    let pipelines = lines(&app, rows, app.now()).await?;
    render(&Page { chrome: chrome(&app, &visitor, "pipelines").await?, pipelines })
}
