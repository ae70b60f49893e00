//! A pipeline in a list.
use jiff::Timestamp;

use crate::model::job::Status;
use crate::store::JobRow;
use crate::store::job_list::{self, Filter};
use crate::store::pipelines::PipelineRow;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::view::{Chart, JobLine, chart, job_line, pipeline_href, usual};

/// Pipelines whose history is drawn on one page; the others show their last job.
const DRAWN: usize = 60;
/// Jobs of a history.
pub(super) const HISTORY: u32 = 18;

/// A pipeline in a list.
pub(super) struct PipelineLine {
    pub(super) href: String,
    pub(super) name: String,
    pub(super) team: String,
    pub(super) repository: String,
    pub(super) last: Option<JobLine>,
    /// The newest job that ended, if it ended red: a new run does not hide it.
    pub(super) red: Option<JobLine>,
    pub(super) chart: Chart,
    pub(super) usual: String,
}

/// The lines of pipelines, each with its newest jobs.
pub(super) async fn lines(app: &AppState, rows: Vec<PipelineRow>, now: Timestamp) -> Answer<Vec<PipelineLine>> {
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let histories: Vec<Vec<JobRow>> = app
        .store
        .read(move |view| {
            let of = |(place, id)| {
                let limit = if place < DRAWN { HISTORY } else { 1 };
                job_list::page(view, &Filter { pipelines: Some(vec![id]), limit, ..Filter::default() })
            };
            ids.into_iter().enumerate().map(of).collect()
        })
        .await?;
    Ok(rows.into_iter().zip(histories).map(|(row, jobs)| line(&row, &jobs, now)).collect())
}

fn line(row: &PipelineRow, jobs: &[JobRow], now: Timestamp) -> PipelineLine {
    PipelineLine {
        href: pipeline_href(&row.name),
        name: row.name.clone(),
        team: row.team.clone(),
        repository: row.repository.clone(),
        red: jobs
            .iter()
            .find(|job| job.status.is_terminal())
            .filter(|job| is_red(job))
            .map(|job| job_line(job, None, now)),
        last: jobs.first().map(|job| job_line(job, None, now)),
        chart: chart(jobs),
        usual: usual(jobs),
    }
}

fn is_red(job: &JobRow) -> bool {
    matches!(job.status, Status::Failure | Status::Timeout)
}
