//! What an explanation is made of: rows, a few lines of one log, the history between two commits. All bounded.
use jiff::Timestamp;

use super::answer::Waiting;
use super::culprit::culprit;
use super::lines::{Told, told};
use super::span::{Span, past, spans};
use super::usual::Usual;
use crate::mirror::{Between, Mirror, Objects};
use crate::model::Action;
use crate::model::job::Status;
use crate::orchestrator::{failing, newest};
use crate::store::{JobRow, StepRow, job_past, steps};
use crate::trigger::no_workspace;
use crate::web::access;
use crate::web::api;
use crate::web::error::Answer;
use crate::web::parts::{TestsSum, tests_sum};
use crate::web::state::AppState;
use crate::web::view::Host;
use crate::web::visitor::Visitor;

/// Green runs that "usual" is taken from.
const GREENS: u32 = 20;
/// Commits that are named.
const COMMITS: usize = 20;

/// Further failed steps that are named.
const OTHERS: usize = 5;
/// Of these, whose logs are read.
const OTHERS_READ: usize = 3;

/// What the one who asks may do with the job.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::web) struct May {
    /// Stop it.
    pub(in crate::web) cancel: bool,
    /// Run it again.
    pub(in crate::web) rerun: bool,
}

/// What an explanation is made of.
pub(in crate::web) struct Evidence {
    /// The job.
    pub(in crate::web) job: JobRow,
    /// Every attempt of every step, in order.
    pub(in crate::web) steps: Vec<StepRow>,
    /// Its steps on the axis of time.
    pub(in crate::web) spans: Vec<Span>,
    /// What green runs of its branch take.
    pub(in crate::web) usual: Usual,
    /// The last green runs of its branch before it, newest first.
    pub(in crate::web) greens: Vec<JobRow>,
    /// The green runs after it.
    pub(in crate::web) greens_after: Vec<JobRow>,
    /// The steps of the newest of `greens`.
    pub(in crate::web) green_steps: Vec<Span>,
    /// What lies between the last green commit and this one; none where it could not be read.
    pub(in crate::web) between: Option<Between>,
    /// The green run that it is compared with: the newest of `greens`, else one of another branch.
    pub(in crate::web) base: Option<JobRow>,
    /// The lines that tell most.
    pub(in crate::web) lines: Told,
    /// Further steps that failed, each with the lines that tell most.
    pub(in crate::web) others: Vec<(StepRow, Told)>,
    /// What its test reports say.
    pub(in crate::web) tests: Option<TestsSum>,
    /// What it waits for.
    pub(in crate::web) waiting: Option<Waiting>,
    /// Where the repository can be looked at.
    pub(in crate::web) host: Option<Host>,
    /// What the one who asks may do.
    pub(in crate::web) may: May,
    /// Of an ended job: why it cannot go on where it stopped; the inner `None`: it can.
    pub(in crate::web) no_workspace: Option<Option<String>>,
    /// The moment of the question.
    pub(in crate::web) now: Timestamp,
}

impl Evidence {
    /// The step whose log explains the end.
    pub(in crate::web) fn culprit(&self) -> Option<&StepRow> {
        culprit(&self.job, &self.steps)
    }
}

/// Reads what explains a job.
pub(in crate::web) async fn gather(app: &AppState, visitor: &Visitor, job: JobRow) -> Answer<Evidence> {
    let now = app.now();
    let (id, pipeline, branch) = (job.id, job.pipeline_id, job.branch.clone());
    let red = matches!(job.status, Status::Failure | Status::Timeout);
    let asked = job.clone();
    let ended = job.status.is_terminal().then(|| job.clone());
    let read = app.store.read(move |view| {
        let no_workspace = ended.map(|job| no_workspace(view, &job)).transpose()?;
        let greens = job_past::green_before(view, pipeline, &branch, id, GREENS)?;
        let after = if red { job_past::green_after(view, pipeline, &branch, id, GREENS)? } else { Vec::new() };
        let base = match greens.first() {
            Some(green) => Some(green.clone()),
            None if red => job_past::green_elsewhere(view, pipeline, id)?,
            None => None,
        };
        let tests = tests_sum(view, &asked)?;
        let ids: Vec<_> = greens.iter().map(|green| green.id).collect();
        let times = job_past::step_times(view, &ids)?;
        Ok((steps::of_job(view, id)?, greens, after, times, (base, tests, no_workspace)))
    });
    let (steps, greens, greens_after, times, (base, tests, no_workspace)) = read.await?;
    let newest_green = times.chunk_by(|one, other| one.job_id == other.job_id).next().unwrap_or_default();
    let newest_green = newest_green.iter().filter(|t| greens.first().is_some_and(|green| green.id == t.job_id));
    let green_steps = past(&newest_green.cloned().collect::<Vec<_>>());
    let repository = job.pipeline().ok();
    let host = repository.as_ref().and_then(|pipeline| Host::of(&pipeline.repository));
    let between = match (base.as_ref(), repository) {
        (Some(green), Some(pipeline)) if red => between(app, green, &job, &pipeline).await,
        _ => None,
    };
    let lines = match culprit(&job, &steps) {
        Some(step) if job.logs_expired_at.is_none() => told(app, step).await?,
        _ => Told::default(),
    };
    let others = others(app, &job, &steps).await?;
    let waiting = waiting(app, &job).await?;
    let may = May {
        cancel: access::may(visitor, Action::Cancel(job.pipeline_id)),
        rerun: access::may(visitor, Action::Rerun(job.pipeline_id)),
    };
    Ok(Evidence {
        spans: spans(&steps, now),
        usual: Usual::of(&greens, &times),
        job,
        steps,
        greens,
        greens_after,
        green_steps,
        between,
        base,
        lines,
        others,
        tests,
        waiting,
        host,
        may,
        no_workspace,
        now,
    })
}

/// Steps that failed too, each with its lines as far as there are few.
async fn others(app: &AppState, job: &JobRow, steps: &[StepRow]) -> Answer<Vec<(StepRow, Told)>> {
    let mut others = Vec::new();
    if matches!(job.status, Status::Failure | Status::Timeout) {
        let first = culprit(job, steps).map(|step| step.seq);
        for step in newest(steps).filter(|step| failing(step) && Some(step.seq) != first).take(OTHERS) {
            let read = others.len() < OTHERS_READ && job.logs_expired_at.is_none();
            others.push((step.clone(), if read { told(app, step).await? } else { Told::default() }));
        }
    }
    Ok(others)
}

/// The mirror is a cache: where it lacks a commit, the explanation does without.
async fn between(
    app: &AppState,
    green: &JobRow,
    job: &JobRow,
    pipeline: &crate::model::settings::Pipeline,
) -> Option<Between> {
    let objects = Objects::open(&Mirror::path_of(app.trigger.repos.dir(), &pipeline.repository));
    let between = objects.between(&green.commit_sha, &job.commit_sha, COMMITS, &pipeline.script).await;
    between.inspect_err(|error| tracing::debug!(%error, "the changes since the last green run are not known")).ok()
}

async fn waiting(app: &AppState, job: &JobRow) -> Answer<Option<Waiting>> {
    Ok(match job.status {
        Status::Pending => {
            let reason = api::jobs::waiting(app, job.id).await?.unwrap_or_else(|| "starts in a moment".to_owned());
            Some(Waiting { reason, since: job.created_at })
        }
        Status::Running => job
            .parked_reason
            .clone()
            .map(|reason| Waiting { reason, since: job.parked_since.or(job.started_at).unwrap_or(job.created_at) }),
        _ => None,
    })
}
