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
pub(in crate::web) const HISTORY: u32 = 20;

/// A pipeline in a list.
pub(in crate::web) struct PipelineLine {
    pub(in crate::web) href: String,
    pub(in crate::web) name: String,
    pub(in crate::web) team: String,
    pub(in crate::web) repository: String,
    pub(in crate::web) last: Option<JobLine>,
    /// The newest job that ended, if it ended red: a new run does not hide it.
    pub(in crate::web) red: Option<JobLine>,
    pub(in crate::web) chart: Chart,
    pub(in crate::web) usual: String,
}

/// The lines of pipelines, each with its newest jobs.
pub(in crate::web) async fn lines(app: &AppState, rows: Vec<PipelineRow>, now: Timestamp) -> Answer<Vec<PipelineLine>> {
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
