//! A pipeline in a list: how it does, in one line.
use jiff::Timestamp;

use crate::model::PipelineId;
use crate::model::settings::{Pipeline, TriggerRule};
use crate::store::pipelines::PipelineRow;
use crate::store::{JobHead, StoreError, job_heads};
use crate::trigger::schedule::Schedule;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::view::{Chart, When, chart, pipeline_href, rate, usual, usual_millis, when};

/// Jobs that a line looks back on.
pub(in crate::web) const HISTORY: u32 = 30;

/// A pipeline in a list.
pub(in crate::web) struct PipelineLine {
    pub(in crate::web) id: PipelineId,
    pub(in crate::web) href: String,
    pub(in crate::web) name: String,
    pub(in crate::web) team: String,
    pub(in crate::web) repository: String,
    /// The state of its newest job, and its page.
    pub(in crate::web) last: Option<(&'static str, String)>,
    pub(in crate::web) chart: Chart,
    pub(in crate::web) rate: Option<String>,
    pub(in crate::web) usual: String,
    pub(in crate::web) usual_millis: Option<i64>,
    pub(in crate::web) last_green: Option<When>,
    /// When a schedule starts it next.
    pub(in crate::web) next: Option<When>,
    /// What the line was made of, newest first.
    pub(in crate::web) heads: Vec<JobHead>,
    pub(in crate::web) document: Pipeline,
}

/// The lines of pipelines, each with its newest jobs. The caller bounds how many.
pub(in crate::web) async fn lines(app: &AppState, rows: Vec<PipelineRow>, now: Timestamp) -> Answer<Vec<PipelineLine>> {
    let lines = app.store.read(move |view| {
        let read = |row: PipelineRow| {
            let heads = job_heads::newest(view, row.id, HISTORY)?;
            let green = match heads.iter().find(|job| job.status == crate::model::job::Status::Success) {
                Some(job) => Some(job.clone()),
                None if heads.len() < HISTORY as usize => None,
                None => job_heads::last_green(view, row.id)?,
            };
            line(row, heads, green, now)
        };
        rows.into_iter().map(read).collect::<Result<Vec<_>, StoreError>>()
    });
    Ok(lines.await?)
}

fn line(
    row: PipelineRow,
    heads: Vec<JobHead>,
    green: Option<JobHead>,
    now: Timestamp,
) -> Result<PipelineLine, StoreError> {
    let document = row.pipeline()?;
    Ok(PipelineLine {
        href: pipeline_href(&row.name),
        last: heads.first().map(|job| (job.status.as_str(), format!("/jobs/{}", job.id))),
        chart: chart(&heads),
        rate: rate(&heads),
        usual: usual(&heads),
        usual_millis: usual_millis(&heads),
        last_green: green.map(|job| when(job.finished_at.unwrap_or(job.created_at), now)),
        next: next_tick(&document, now).map(|at| when(at, now)),
        id: row.id,
        name: row.name,
        team: row.team,
        repository: row.repository,
        heads,
        document,
    })
}

/// When a schedule of the pipeline ticks next.
pub(in crate::web) fn next_tick(document: &Pipeline, now: Timestamp) -> Option<Timestamp> {
    let ticks = document.triggers.iter().filter_map(|rule| match rule {
        TriggerRule::Cron { schedule, timezone, .. } => {
            Schedule::parse(schedule, timezone.as_deref()).ok().and_then(|schedule| schedule.next(now))
        }
        _ => None,
    });
    ticks.min()
}

/// Does everybody want to know when this branch is red? What the document names does, and the names that main
/// branches have; a branch where somebody tries something does not.
pub(in crate::web) fn matters(document: &Pipeline, branch: &str) -> bool {
    let scheduled =
        document.triggers.iter().any(|rule| matches!(rule, TriggerRule::Cron { branch: named, .. } if named == branch));
    let usual = ["main", "master", "trunk", "develop", "default"].contains(&branch);
    scheduled || usual || document.branch_filter.iter().any(|glob| glob == branch) || branch.starts_with("release")
}
