//! jobs, as little of them as a chart needs: a page draws hundreds.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::row;
use super::{StoreError, View};
use crate::model::job::Status;
use crate::model::{JobId, PipelineId};

row! {
    /// A job in a chart.
    pub struct JobHead {
        /// Its id.
        pub id: JobId,
        /// Its number within the pipeline.
        pub number: u64,
        /// Where it stands.
        pub status: Status,
        /// Its branch.
        pub branch: String,
        /// Its tag.
        pub tag: Option<String>,
        /// The pull request's number.
        pub pull_request: Option<u64>,
        /// When it was made.
        pub created_at: Timestamp,
        /// It did not start before.
        pub run_after: Timestamp,
        /// When its first attempt began.
        pub started_at: Option<Timestamp>,
        /// When it ended.
        pub finished_at: Option<Timestamp>,
    }
}

/// The newest jobs of a pipeline, newest first; `limit` is held to 1..=200.
pub fn newest(view: &View<'_>, pipeline: PipelineId, limit: u32) -> Result<Vec<JobHead>, StoreError> {
    view.all(
        "read the newest jobs of a pipeline",
        "SELECT id, number, status, branch, tag, pull_request, created_at, run_after, started_at, finished_at
         FROM jobs WHERE pipeline_id = ?1 ORDER BY id DESC LIMIT ?2",
        params![pipeline, limit.clamp(1, 200)],
    )
}

/// The newest green job of a pipeline, on whatever branch.
pub fn last_green(view: &View<'_>, pipeline: PipelineId) -> Result<Option<JobHead>, StoreError> {
    view.first(
        "read the last green job of a pipeline",
        "SELECT id, number, status, branch, tag, pull_request, created_at, run_after, started_at, finished_at
         FROM jobs WHERE pipeline_id = ?1 AND status = 'success' ORDER BY id DESC LIMIT 1",
        [pipeline],
    )
}
