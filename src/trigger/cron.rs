//! Schedules: which ticks are due, and a job for each.
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::model::settings::TriggerRule;
use crate::model::trigger::Trigger;
use crate::model::{JobId, PipelineId, Principal};
use crate::store::{Durability, StoreError, cron_ticks, pipelines};

use super::enqueue::{Cause, Made, enqueue};
use super::schedule::{Schedule, dedupe_key};
use super::{Ctx, TriggerError, drain};

/// A new configuration is noticed at the latest after this.
const POLL: Duration = Duration::from_secs(10);
/// After a repository could not be fetched.
const PAUSE: Duration = Duration::from_secs(60);

/// A tick that is to run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pipeline: PipelineId,
    name: String,
    repository: String,
    branch: String,
    rule: usize,
    /// How the store knows the schedule.
    key: String,
    tick: Timestamp,
}

/// What a look at all schedules found.
#[derive(Debug, Default)]
pub struct Look {
    /// Ticks that are to run now.
    pub due: Vec<Due>,
    /// When the next one is.
    pub next: Option<Timestamp>,
}

/// Makes jobs at their times until it is told to stop.
pub async fn run(ctx: Ctx, stop: CancellationToken) {
    let mut in_hand: HashSet<(PipelineId, String)> = HashSet::new();
    let mut later: HashMap<(PipelineId, String), Timestamp> = HashMap::new();
    type Ended = ((PipelineId, String), Result<Option<JobId>, TriggerError>);
    let mut running: FuturesUnordered<BoxFuture<'_, Ended>> = FuturesUnordered::new();
    loop {
        let now = ctx.store.clock().now();
        later.retain(|_, at| *at > now);
        let look = look(&ctx, now).await.unwrap_or_else(|e| {
            tracing::warn!(error = %e, "the schedules cannot be read; trying again");
            Look::default()
        });
        for due in look.due {
            let key = (due.pipeline, due.key.clone());
            if later.contains_key(&key) || !in_hand.insert(key.clone()) {
                continue;
            }
            let (ctx, stop) = (&ctx, &stop);
            running.push(Box::pin(async move { (key, start(ctx, &due, stop).await) }));
        }
        tokio::select! {
            () = stop.cancelled() => break,
            Some((key, result)) = running.next() => {
                in_hand.remove(&key);
                if let Err(e) = result {
                    tracing::warn!(pipeline.id = %key.0, schedule = key.1, error = %e, "a tick waits for another try");
                    later.insert(key, ctx.store.clock().now() + PAUSE);
                }
            }
            () = tokio::time::sleep(pause(look.next, now)) => {}
        }
    }
}

fn pause(next: Option<Timestamp>, now: Timestamp) -> Duration {
    let until = next.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
    until.unwrap_or(POLL).min(POLL)
}

/// Makes a job for every tick that is due, once: the loop's body.
pub async fn tick_once(ctx: &Ctx, now: Timestamp, stop: &CancellationToken) -> Result<Vec<JobId>, TriggerError> {
    let mut jobs = Vec::new();
    for due in look(ctx, now).await?.due {
        jobs.extend(start(ctx, &due, stop).await?);
    }
    Ok(jobs)
}

/// Looks at all schedules in force. A schedule that is seen for the first time starts now: its past is not run.
pub async fn look(ctx: &Ctx, now: Timestamp) -> Result<Look, TriggerError> {
    let (look, fresh) = ctx
        .store
        .read(move |view| {
            let (mut look, mut fresh) = (Look::default(), Vec::new());
            if drain::is_on(view)? {
                return Ok((look, fresh));
            }
            for row in pipelines::active(view)? {
                for (rule, found) in row.pipeline()?.triggers.into_iter().enumerate() {
                    let TriggerRule::Cron { schedule: fields, timezone, branch } = found else { continue };
                    let schedule = match Schedule::parse(&fields, timezone.as_deref()) {
                        Ok(schedule) => schedule,
                        Err(e) => {
                            tracing::error!(pipeline.name = row.name, error = %e, "a schedule never ticks");
                            continue;
                        }
                    };
                    look.next = look.next.into_iter().chain(schedule.next(now)).min();
                    let key = format!("{fields} {} {branch}", timezone.as_deref().unwrap_or("UTC"));
                    let Some(last) = cron_ticks::find(view, row.id, &key)? else {
                        fresh.push((row.id, key));
                        continue;
                    };
                    if let Some(tick) = schedule.due(last, now) {
                        let (name, repository) = (row.name.clone(), row.repository.clone());
                        look.due.push(Due { pipeline: row.id, name, repository, branch, rule, key, tick });
                    }
                }
            }
            Ok((look, fresh))
        })
        .await?;
    if !fresh.is_empty() {
        let noted = ctx.store.write("trigger.tick_seen", Durability::Progress, move |tx| {
            fresh.iter().try_for_each(|(pipeline, key)| cron_ticks::set(tx, *pipeline, key, now))
        });
        noted.await?;
    }
    Ok(look)
}

/// Makes the job of a tick and moves the schedule on, in one transaction. None: there is nothing to build, which
/// is logged; the tick is over all the same.
pub async fn start(ctx: &Ctx, due: &Due, stop: &CancellationToken) -> Result<Option<JobId>, TriggerError> {
    let revision = match resolve(ctx, due, stop).await {
        Ok(revision) => Some(revision),
        Err(e) if e.is_retryable() => return Err(e),
        Err(e) => {
            tracing::error!(pipeline.name = due.name, tick = %due.tick, error = %e, "a tick makes no job");
            None
        }
    };
    let due = due.clone();
    let written = ctx.store.write("trigger.tick", Durability::Acknowledged, move |tx| -> Result<_, StoreError> {
        if drain::is_on(tx)? {
            return Ok(None);
        }
        cron_ticks::set(tx, due.pipeline, &due.key, due.tick)?;
        let Some(revision) = revision else { return Ok(Some(None)) };
        let cause = Cause {
            trigger: Trigger::Cron,
            event: None,
            origin: Some(due.tick.to_string()),
            actor: Principal::System,
            params: BTreeMap::new(),
            dedupe_key: Some(dedupe_key(due.pipeline, due.rule, due.tick)),
        };
        Ok(Some(match enqueue(tx, due.pipeline, revision, cause)? {
            Made::Job(job) if job.new => Some(job.id),
            Made::Job(_) | Made::Inactive => None,
            Made::Refused(bad) => {
                tracing::error!(pipeline.name = due.name, tick = %due.tick, error = %bad, "a tick makes no job");
                None
            }
        }))
    });
    written.await?.ok_or(TriggerError::Draining)
}

async fn resolve(
    ctx: &Ctx,
    due: &Due,
    stop: &CancellationToken,
) -> Result<crate::model::trigger::Revision, TriggerError> {
    let mirror = ctx.fetched(&due.repository, stop).await?;
    Ok(mirror.objects().resolve(&due.branch).await?)
}

#[cfg(test)]
mod tests;
