//! `GET /api/v1/jobs/{id}/annotations`.
use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::Action;
use crate::store::annotations::{self, AnnotationRow};
use crate::web::access;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::view::markdown;
use crate::web::visitor::Visitor;

/// An annotation as the API shows it.
#[derive(Serialize, JsonSchema)]
struct Annotation {
    level: &'static str,
    markdown: String,
    /// Safe to put into a page: no script, style or image of its own.
    html: String,
    file: String,
    line: u32,
    created_at: String,
}

/// The annotations of a job, in the order in which they were made.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AnnotationList")]
pub(in crate::web) struct List {
    annotations: Vec<Annotation>,
}

/// What the danubefile says about the job, in its order.
pub(in crate::web) async fn list(State(app): State<AppState>, visitor: Visitor, Path(name): Path<String>) -> Answer {
    let (_read, job) = access::job(&app, &visitor, &name, Action::ReadPipeline).await?;
    let rows = app.store.read(move |view| annotations::of_job(view, job.id)).await?;
    let annotations = rows.into_iter().map(annotation).collect();
    Ok(Json(List { annotations }).into_response())
}

fn annotation(row: AnnotationRow) -> Annotation {
    Annotation {
        level: row.level.as_str(),
        html: markdown::render(&row.markdown),
        markdown: row.markdown,
        file: row.file,
        line: row.line,
        created_at: row.created_at.to_string(),
    }
}
