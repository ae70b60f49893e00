//! `/api/v1/pipelines/{name}/caches`: what is stored for a pipeline's steps, and what a job's steps found of it.
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::auth::{Authorized, noted};
use crate::model::{Action, JobId};
use crate::store::cache_uses::UseRow;
use crate::store::pipelines::PipelineRow;
use crate::store::{CacheRow, Durability, StepRow, caches};
use crate::web::access;
use crate::web::error::{Answer, WebError};
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// The caches of a pipeline, by name.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CacheList")]
pub(in crate::web) struct List<'a> {
    caches: Vec<Cache<'a>>,
    /// Of all of them together.
    bytes: u64,
}

/// Stored content.
#[derive(Serialize, JsonSchema)]
pub(in crate::web) struct Cache<'a> {
    name: &'a str,
    /// What it depends on; none: it is replaced whenever it changed.
    key: Option<&'a str>,
    /// Whose it is: `protected`, `branch:x`, `pull_request:7` or `tag:v1`.
    scope: &'a str,
    bytes: u64,
    sha256: &'a str,
    /// The job that stored it.
    job: JobId,
    /// The same for people: `web#12`.
    job_label: &'a str,
    stored_at: Timestamp,
    last_used_at: Timestamp,
}

/// What is to be deleted: nothing said, all caches of the pipeline.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::web) struct Which {
    /// Only those of this name.
    #[serde(rename = "cache")]
    name: Option<String>,
    /// Only those of this key.
    key: Option<String>,
}

/// What was deleted.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CachesDeleted")]
pub(in crate::web) struct Deleted {
    deleted: u64,
}

/// What a step found of a cache, and what became of it.
#[derive(Serialize, JsonSchema)]
pub(in crate::web) struct CacheUse<'a> {
    /// The number of the step.
    step: u32,
    /// The attempt of the step.
    attempt: u32,
    name: &'a str,
    key: Option<&'a str>,
    /// `hit`, `miss`, or `here`: an earlier step of the job had it.
    found: &'static str,
    /// Who stored what was found, or why nothing was.
    found_note: &'a str,
    restored_bytes: u64,
    restored_seconds: f64,
    /// `stored`, `unchanged` or `no`; none: the step has not succeeded.
    saved: Option<&'static str>,
    /// Why, in words.
    saved_note: &'a str,
    saved_bytes: u64,
    saved_seconds: f64,
}

/// The caches of a pipeline.
pub(in crate::web) async fn list(State(app): State<AppState>, visitor: Visitor, Path(name): Path<String>) -> Answer {
    let (_read, row) = access::pipeline(&app, &visitor, name, Action::ReadPipeline).await?;
    let rows = app.store.read(move |view| caches::of_pipeline(view, row.id)).await?;
    let bytes = rows.iter().map(|row| row.bytes).sum();
    Ok(Json(List { caches: rows.iter().map(cache).collect(), bytes }).into_response())
}

/// Forgets caches of a pipeline; their bytes are removed soon after.
pub(in crate::web) async fn delete(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Answer {
    let (authorized, row) = access::pipeline(&app, &visitor, name, Action::ManageCaches).await?;
    let deleted = remove(&app, authorized, &row, which.name, which.key).await?;
    Ok(Json(Deleted { deleted }).into_response())
}

/// Forgets caches, with a line of the audit log; gives how many.
pub(in crate::web) async fn remove(
    app: &AppState,
    authorized: Authorized,
    row: &PipelineRow,
    name: Option<String>,
    key: Option<String>,
) -> Result<u64, WebError> {
    let (id, pipeline) = (row.id, row.name.clone());
    let deleted = app.store.write("web.caches_delete", Durability::Acknowledged, move |tx| {
        let deleted = caches::delete(tx, id, name.as_deref(), key.as_deref())?;
        let what = name.as_deref().unwrap_or("all");
        noted(tx, &authorized, &format!("caches {pipeline}/{what}"), &format!("{deleted} deleted"))?;
        Ok(deleted)
    });
    Ok(deleted.await?)
}

fn cache(row: &CacheRow) -> Cache<'_> {
    Cache {
        name: &row.name,
        key: some(&row.key),
        scope: &row.scope,
        bytes: row.bytes,
        sha256: &row.digest,
        job: row.job_id,
        job_label: &row.job_label,
        stored_at: row.created_at,
        last_used_at: row.last_used_at,
    }
}

/// The uses of caches by a job's steps, in their order.
pub(in crate::web) fn uses<'a>(steps: &[StepRow], rows: &'a [UseRow]) -> Vec<CacheUse<'a>> {
    let of = |row: &'a UseRow| {
        let step = steps.iter().find(|step| step.id == row.step_id)?;
        Some(CacheUse {
            step: step.seq,
            attempt: step.attempt,
            name: &row.name,
            key: some(&row.key),
            found: row.found.as_str(),
            found_note: &row.found_note,
            restored_bytes: row.found_bytes,
            restored_seconds: seconds(row.found_millis),
            saved: row.saved.map(crate::store::cache_uses::Saved::as_str),
            saved_note: &row.saved_note,
            saved_bytes: row.saved_bytes,
            saved_seconds: seconds(row.saved_millis),
        })
    };
    rows.iter().filter_map(of).collect()
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn seconds(millis: u64) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}
