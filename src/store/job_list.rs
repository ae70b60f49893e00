//! jobs as the console and the API list them: newest first, page by page.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::{micros, row, to_json};
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
    /// Only this commit.
    pub commit: Option<String>,
    /// Only started by this one.
    pub actor: Option<String>,
    /// Only made at this time or later.
    pub since: Option<Timestamp>,
    /// The last job of the page before.
    pub before: Option<JobId>,
    /// Rows at most; held to 1..=200.
    pub limit: u32,
}

/// One page, newest first. The next page begins `before` the last row.
pub fn page(view: &View<'_>, filter: &Filter) -> Result<Vec<JobRow>, StoreError> {
    let what = "list jobs";
    let Filter { status, branch, commit, actor, .. } = filter;
    let since = filter.since.map(micros);
    let limit = filter.limit.clamp(1, 200);
    // Ids sort by creation and `~` sorts behind every id, so one text is both cursor and "from the start".
    let before = filter.before.map_or_else(|| "~".to_owned(), |id| id.to_string());
    match filter.pipelines.as_deref() {
        None => {
            let none: Option<PipelineId> = None;
            view.all(
                what,
                &select("*", filter, false),
                params![before, none, status, branch, commit, actor, since, limit],
            )
        }
        Some([one]) => view.all(
            what,
            &select("*", filter, true),
            params![before, one, status, branch, commit, actor, since, limit],
        ),
        Some(many) => {
            // The newest ids of each pipeline come out of an index; rows are read for those alone that are shown.
            // One query over all of them would read every job that is newer than what a quiet pipeline has.
            let mut ids: Vec<String> = Vec::new();
            for one in many {
                let of_one = params![before, one, status, branch, commit, actor, since, limit];
                ids.extend(view.values::<String>(what, &select("id", filter, true), of_one)?);
            }
            ids.sort_unstable_by(|a, b| b.cmp(a));
            ids.truncate(limit as usize);
            view.all(
                what,
                "SELECT * FROM jobs WHERE id IN (SELECT value FROM json_each(?1)) ORDER BY id DESC",
                [to_json(what, &ids)?],
            )
        }
    }
}

/// The query with the conditions that are asked for and no others: each set of them has its index.
fn select(columns: &str, filter: &Filter, one_pipeline: bool) -> String {
    let conditions = [
        (one_pipeline, " AND pipeline_id = ?2"),
        (filter.status.is_some(), " AND status = ?3"),
        (filter.branch.is_some(), " AND branch = ?4"),
        (filter.commit.is_some(), " AND commit_sha = ?5"),
        (filter.actor.is_some(), " AND actor = ?6"),
        // Ids sort by creation: from the first job of that time on.
        (filter.since.is_some(), " AND id >= (SELECT id FROM jobs WHERE created_at >= ?7 ORDER BY created_at LIMIT 1)"),
    ];
    let conditions: String = conditions.iter().filter(|(asked, _)| *asked).map(|(_, text)| *text).collect();
    format!("SELECT {columns} FROM jobs WHERE id < ?1{conditions} ORDER BY id DESC LIMIT ?8")
}

/// Entries of the index of commits that a question reads: a few digits never cost more.
const COMMIT_SEARCH: u32 = 5000;

/// The newest jobs of commits that begin with these lower-case hex digits.
pub fn of_commit(view: &View<'_>, start: &str) -> Result<Vec<JobRow>, StoreError> {
    view.all(
        "find the jobs of a commit",
        "SELECT * FROM jobs WHERE id IN (
            SELECT id FROM (
                SELECT id FROM jobs WHERE commit_sha >= ?1 AND commit_sha < ?1 || 'g'
                ORDER BY commit_sha DESC, id DESC LIMIT ?2)
            ORDER BY id DESC LIMIT 50)
         ORDER BY id DESC",
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

row! {
    /// How many jobs have not ended.
    pub struct Live {
        /// Jobs that wait.
        pub pending: u64,
        /// Jobs that run.
        pub running: u64,
    }
}

/// The jobs that have not ended.
pub fn live(view: &View<'_>) -> Result<Live, StoreError> {
    let found = view.first(
        "count the jobs that have not ended",
        "SELECT (SELECT COUNT(*) FROM jobs WHERE status = 'pending') AS pending,
                (SELECT COUNT(*) FROM jobs WHERE status = 'running') AS running",
        [],
    )?;
    Ok(found.unwrap_or(Live { pending: 0, running: 0 }))
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
