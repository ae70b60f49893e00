//! jobs as the console and the API list them: newest first, page by page.
use rusqlite::params;

use super::sql::{row, to_json};
use super::{JobRow, StoreError, View};
use crate::model::job::Status;
use crate::model::{JobId, PipelineId};

/// Which jobs, and where to go on.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only these pipelines; none: all.
    pub pipelines: Option<Vec<PipelineId>>,
    /// Only this status.
    pub status: Option<Status>,
    /// Only this branch.
    pub branch: Option<String>,
    /// The last job of the page before.
    pub before: Option<JobId>,
    /// Rows at most; held to 1..=200.
    pub limit: u32,
}

/// One page, newest first. The next page begins `before` the last row.
pub fn page(view: &View<'_>, filter: &Filter) -> Result<Vec<JobRow>, StoreError> {
    let what = "list jobs";
    let limit = filter.limit.clamp(1, 200);
    // Ids sort by creation and `~` sorts behind every id, so one text is both cursor and "from the start".
    let before = filter.before.map_or_else(|| "~".to_owned(), |id| id.to_string());
    match (filter.pipelines.as_deref(), filter.status) {
        (Some([one]), None) => view.all(
            what,
            "SELECT * FROM jobs WHERE pipeline_id = ?1 AND id < ?2 AND (?3 IS NULL OR branch = ?3)
             ORDER BY id DESC LIMIT ?4",
            params![one, before, filter.branch, limit],
        ),
        (Some([one]), Some(status)) => view.all(
            what,
            "SELECT * FROM jobs WHERE pipeline_id = ?1 AND status = ?5 AND id < ?2 AND (?3 IS NULL OR branch = ?3)
             ORDER BY id DESC LIMIT ?4",
            params![one, before, filter.branch, limit, status],
        ),
        (Some(many), status) => view.all(
            what,
            "SELECT * FROM jobs WHERE id < ?2 AND (?3 IS NULL OR branch = ?3) AND (?5 IS NULL OR status = ?5)
             AND pipeline_id IN (SELECT value FROM json_each(?1)) ORDER BY id DESC LIMIT ?4",
            params![to_json(what, &many)?, before, filter.branch, limit, status],
        ),
        (None, Some(status)) => view.all(
            what,
            "SELECT * FROM jobs WHERE status = ?1 AND id < ?2 AND (?3 IS NULL OR branch = ?3)
             ORDER BY id DESC LIMIT ?4",
            params![status, before, filter.branch, limit],
        ),
        (None, None) => view.all(
            what,
            "SELECT * FROM jobs WHERE id < ?1 AND (?2 IS NULL OR branch = ?2) ORDER BY id DESC LIMIT ?3",
            params![before, filter.branch, limit],
        ),
    }
}

/// Jobs among which a commit is looked for: the newest, so that a question costs the same at any age.
pub const COMMIT_SEARCH: u32 = 5000;

/// The newest jobs of commits that begin with these lower-case hex digits.
pub fn of_commit(view: &View<'_>, start: &str) -> Result<Vec<JobRow>, StoreError> {
    view.all(
        "find the jobs of a commit",
        "SELECT * FROM (SELECT * FROM jobs ORDER BY id DESC LIMIT ?2)
         WHERE commit_sha >= ?1 AND commit_sha < ?1 || 'g' LIMIT 50",
        params![start, COMMIT_SEARCH],
    )
}

row! {
    /// How many jobs are in a status.
    pub struct StatusCount {
        /// The pipeline.
        pub pipeline_name: String,
        /// The status.
        pub status: Status,
        /// Jobs in it.
        pub jobs: u64,
    }
}

/// Jobs per pipeline and status.
pub fn counts(view: &View<'_>) -> Result<Vec<StatusCount>, StoreError> {
    view.all(
        "count jobs",
        "SELECT pipelines.name AS pipeline_name, jobs.status AS status, COUNT(*) AS jobs
         FROM jobs JOIN pipelines ON pipelines.id = jobs.pipeline_id
         GROUP BY jobs.pipeline_id, jobs.status ORDER BY 1, 2",
        [],
    )
}

/// The newest job of each active pipeline: what the list of pipelines shows.
pub fn newest_per_pipeline(view: &View<'_>) -> Result<Vec<JobRow>, StoreError> {
    view.all(
        "read the newest jobs",
        "SELECT jobs.* FROM pipelines JOIN jobs
         ON jobs.id = (SELECT MAX(id) FROM jobs WHERE pipeline_id = pipelines.id)
         WHERE pipelines.active = 1 ORDER BY pipelines.name",
        [],
    )
}
