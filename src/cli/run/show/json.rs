//! A run as one JSON object.
use std::path::Path;

use serde_json::json;

use super::artifact_path;
use crate::store::{JobRow, Store, artifacts, steps};

/// The job, its steps and its artifacts.
pub(in crate::cli::run) async fn summary(store: &Store, job: &JobRow, data: &Path) -> anyhow::Result<String> {
    let id = job.id;
    let (rows, stored) = store.read(move |view| Ok((steps::of_job(view, id)?, artifacts::of_job(view, id)?))).await?;
    let rows: Vec<_> = rows
        .iter()
        .map(|s| {
            json!({
                "seq": s.seq, "attempt": s.attempt, "key": s.key, "branch": s.branch, "name": s.name, "image": s.image,
                "status": s.status.as_str(), "cause": s.cause.map(|c| c.as_str()), "exit_code": s.exit_code,
                "reason": s.reason, "log_sha256": s.log_sha256, "log_bytes": s.log_bytes,
            })
        })
        .collect();
    let stored: Vec<_> = stored
        .iter()
        .filter(|a| a.expired_at.is_none())
        .map(|a| json!({ "name": a.name, "sha256": a.sha256, "size": a.size, "path": artifact_path(data, a) }))
        .collect();
    Ok(serde_json::to_string_pretty(&json!({
        "id": job.id, "pipeline": job.pipeline_name, "commit": job.commit_sha, "status": job.status, "reason": job.reason,
        "steps": rows, "artifacts": stored,
    }))?)
}
