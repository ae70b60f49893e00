//! jobs as each other's past: the green ones before, those of the same commit, their steps' times.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::{int, row, to_json};
use super::{JobRow, StoreError, View};
use crate::model::step::StepStatus;
use crate::model::{JobId, PipelineId};

/// Attempts of steps that are read at most: 20 jobs with 1,000 steps each.
const ATTEMPTS: u32 = 20_000;

row! {
    /// How long an attempt of a step took.
    pub struct StepTime {
        /// Its job.
        pub job_id: JobId,
        /// Its place in the job.
        pub seq: u32,
        /// The path of branches it belongs to.
        pub branch: String,
        /// Its name.
        pub name: String,
        /// How it ended.
        pub status: StepStatus,
        /// When its container started.
        pub started_at: Timestamp,
        /// When it ended.
        pub finished_at: Timestamp,
    }
}

row! {
    /// The jobs beside one in its pipeline.
    pub struct Neighbours {
        /// The number before.
        pub before: Option<u64>,
        /// The number after.
        pub after: Option<u64>,
    }
}

/// The newest green jobs of a branch that were made before a job, newest first.
pub fn green_before(
    view: &View<'_>,
    pipeline: PipelineId,
    branch: &str,
    job: JobId,
    limit: u32,
) -> Result<Vec<JobRow>, StoreError> {
    view.all(
        "read the green jobs before",
        "SELECT * FROM jobs WHERE pipeline_id = ?1 AND branch = ?2 AND status = 'success' AND id < ?3
         ORDER BY id DESC LIMIT ?4",
        params![pipeline, branch, job, limit],
    )
}

/// Branches that others are compared with, where they are there.
const MAIN: [&str; 3] = ["main", "master", "trunk"];

/// The newest green job of a pipeline that was made before a job, for a branch that was never green: of its main
/// branch, else of any.
pub fn green_elsewhere(view: &View<'_>, pipeline: PipelineId, job: JobId) -> Result<Option<JobRow>, StoreError> {
    for branch in MAIN {
        if let Some(green) = green_before(view, pipeline, branch, job, 1)?.pop() {
            return Ok(Some(green));
        }
    }
    view.first(
        "read the last green job before",
        "SELECT * FROM jobs WHERE pipeline_id = ?1 AND status = 'success' AND id < ?2 ORDER BY id DESC LIMIT 1",
        params![pipeline, job],
    )
}

/// The oldest green jobs of a branch that were made after a job, oldest first.
pub fn green_after(
    view: &View<'_>,
    pipeline: PipelineId,
    branch: &str,
    job: JobId,
    limit: u32,
) -> Result<Vec<JobRow>, StoreError> {
    view.all(
        "read the green jobs after",
        "SELECT * FROM jobs WHERE pipeline_id = ?1 AND branch = ?2 AND status = 'success' AND id > ?3
         ORDER BY id LIMIT ?4",
        params![pipeline, branch, job, limit],
    )
}

/// The times of ended steps of these jobs, newest job first; the oldest jobs are left out where there are very many.
pub fn step_times(view: &View<'_>, jobs: &[JobId]) -> Result<Vec<StepTime>, StoreError> {
    let what = "read the times of steps";
    view.all(
        what,
        "SELECT job_id, seq, branch, name, status, started_at, finished_at FROM steps
         WHERE job_id IN (SELECT value FROM json_each(?1)) AND seq > 0
         AND started_at IS NOT NULL AND finished_at IS NOT NULL
         ORDER BY job_id DESC, seq, attempt LIMIT ?2",
        params![to_json(what, &jobs)?, ATTEMPTS],
    )
}

/// The numbers beside a job's.
pub fn neighbours(view: &View<'_>, pipeline: PipelineId, number: u64) -> Result<Neighbours, StoreError> {
    let row = view.first(
        "read the jobs beside",
        "SELECT (SELECT MAX(number) FROM jobs WHERE pipeline_id = ?1 AND number < ?2) AS before,
                (SELECT MIN(number) FROM jobs WHERE pipeline_id = ?1 AND number > ?2) AS after",
        params![pipeline, int(number)],
    )?;
    Ok(row.unwrap_or(Neighbours { before: None, after: None }))
}
