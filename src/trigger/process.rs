//! What happens with an accepted delivery: the repository is fetched and looked at, jobs are made, the outcome is
//! written down; all rows in one transaction, so that a delivery is processed exactly once.
use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use crate::mirror::Mirror;
use crate::model::settings::Pipeline;
use crate::model::trigger::{RepoEvent, Revision, Trigger};
use crate::model::{DeliveryId, PipelineId, Principal};
use crate::store::deliveries::{self, DeliveryRow, DeliveryState};
use crate::store::{Durability, StoreError, pipelines};

use super::delivery::{Delivery, DeliveryKind, Push};
use super::enqueue::{Cause, Made, enqueue};
use super::matching::{self, Change, Verdict};
use super::{Ctx, TriggerError, drain, repository};

/// The longest outcome that is stored.
const MAX_OUTCOME: usize = 2000;

/// A pipeline that is to run, and at what.
struct Start {
    pipeline: PipelineId,
    name: String,
    revision: Revision,
}

/// What was found out about a delivery, before it is written.
#[derive(Default)]
struct Findings {
    starts: Vec<Start>,
    notes: Vec<String>,
}

/// Processes one waiting delivery. An error leaves it waiting; `fail` gives it up.
pub async fn process(ctx: &Ctx, row: &DeliveryRow, stop: &CancellationToken) -> Result<(), TriggerError> {
    let delivery: Delivery = serde_json::from_slice(&row.payload)
        .map_err(|e| StoreError::corrupt(format!("read the delivery {}", row.id), e))?;
    let DeliveryKind::Push(push) = delivery.kind else {
        return settle(ctx, row.id, DeliveryState::Ignored, "nothing to do".to_owned()).await;
    };
    let Some((event, name)) = named(&push.reference) else {
        let outcome = format!("{} is neither a branch nor a tag", push.reference);
        return settle(ctx, row.id, DeliveryState::Ignored, outcome).await;
    };
    let built = pipelines_of(ctx, &push).await?;
    if built.is_empty() {
        let outcome = format!("no pipeline builds {}", push.repository);
        return settle(ctx, row.id, DeliveryState::Ignored, outcome).await;
    }
    let mut findings = Findings::default();
    for (url, pipelines) in built {
        let mirror = ctx.fetched(&url, stop).await?;
        examine(&mirror, event, name, &push, pipelines, &mut findings).await?;
    }
    write(ctx, row, &push.reference, event, findings).await
}

/// Gives a delivery up: it could not be processed, and why.
pub async fn fail(ctx: &Ctx, id: DeliveryId, reason: &str) -> Result<(), TriggerError> {
    settle(ctx, id, DeliveryState::Failed, reason.to_owned()).await
}

fn named(reference: &str) -> Option<(RepoEvent, &str)> {
    let branch = reference.strip_prefix("refs/heads/").map(|name| (RepoEvent::Push, name));
    branch.or_else(|| reference.strip_prefix("refs/tags/").map(|name| (RepoEvent::Tag, name)))
}

type Built = BTreeMap<String, Vec<(PipelineId, Pipeline)>>;

/// The active pipelines of the repository, by the address each one gives: only those are ever fetched.
async fn pipelines_of(ctx: &Ctx, push: &Push) -> Result<Built, StoreError> {
    let keys: Vec<String> = push.addresses.iter().map(|a| repository::key(a)).collect();
    let read = ctx.store.read(move |view| {
        let mut built = Built::new();
        for row in pipelines::active(view)? {
            if keys.contains(&repository::key(&row.repository)) {
                let pipeline = row.pipeline()?;
                built.entry(row.repository).or_default().push((row.id, pipeline));
            }
        }
        Ok(built)
    });
    read.await
}

async fn examine(
    mirror: &Mirror,
    event: RepoEvent,
    name: &str,
    push: &Push,
    pipelines: Vec<(PipelineId, Pipeline)>,
    findings: &mut Findings,
) -> Result<(), TriggerError> {
    let objects = mirror.objects();
    // The payload only gave the reason to look: what counts is where the ref is now.
    let found = match event {
        RepoEvent::Tag => objects.find_tag(name).await?,
        RepoEvent::Push | RepoEvent::PullRequest => objects.find_branch(name).await?,
    };
    let Some(revision) = found else {
        findings.notes.push(format!("{} is gone: nothing to build", push.reference));
        return Ok(());
    };
    let change = Change { event, name: name.to_owned(), message: revision.message.clone() };
    let (before, head) = (push.before.clone(), revision.commit.clone());
    let judged = objects.read(move |this, repo| {
        let listed: Vec<(PipelineId, &Pipeline)> = pipelines.iter().map(|(id, pipeline)| (*id, pipeline)).collect();
        let changed = |globs: &[String]| this.changed_in(repo, before.as_deref(), &head, globs);
        let verdicts = matching::pipelines(&change, &listed, changed)?;
        let names = pipelines.into_iter().map(|(_, pipeline)| pipeline.name);
        Ok(verdicts.into_iter().zip(names).collect::<Vec<_>>())
    });
    for ((pipeline, verdict), name) in judged.await? {
        match verdict {
            Verdict::Matched => findings.starts.push(Start { pipeline, name, revision: revision.clone() }),
            Verdict::NotMatched(why) => findings.notes.push(format!("{name}: {why}")),
        }
    }
    Ok(())
}

async fn write(
    ctx: &Ctx,
    row: &DeliveryRow,
    reference: &str,
    event: RepoEvent,
    findings: Findings,
) -> Result<(), TriggerError> {
    let (id, reference) = (row.id, reference.to_owned());
    let written = ctx.store.write("trigger.delivery", Durability::Acknowledged, move |tx| {
        if drain::is_on(tx)? {
            return Ok(false);
        }
        if deliveries::get(tx, id)?.state != DeliveryState::Received {
            return Ok(true);
        }
        let Findings { starts, mut notes } = findings;
        let state = if starts.is_empty() { DeliveryState::Ignored } else { DeliveryState::Processed };
        for Start { pipeline, name, revision } in starts {
            let cause = Cause {
                trigger: Trigger::Webhook,
                event: Some(event),
                origin: Some(id.to_string()),
                actor: Principal::System,
                params: BTreeMap::new(),
                dedupe_key: Some(dedupe_key(pipeline, &reference, &revision.commit)),
            };
            let short = revision.commit[..8.min(revision.commit.len())].to_owned();
            notes.push(match enqueue(tx, pipeline, revision, cause)? {
                Made::Job(job) if job.new => format!("{name}: a job for {short}"),
                Made::Job(_) => format!("{name}: {short} has its job already"),
                Made::Inactive => format!("{name}: not in the configuration any more"),
                Made::Refused(bad) => format!("{name}: {bad}"),
            });
        }
        deliveries::settle(tx, id, state, &bounded(&notes.join("; ")))?;
        Ok(true)
    });
    if written.await? { Ok(()) } else { Err(TriggerError::Draining) }
}

/// One job per pipeline, ref and commit, however many deliveries tell of it.
fn dedupe_key(pipeline: PipelineId, reference: &str, commit: &str) -> String {
    format!("push:{pipeline}:{reference}:{commit}")
}

async fn settle(ctx: &Ctx, id: DeliveryId, state: DeliveryState, outcome: String) -> Result<(), TriggerError> {
    let written = ctx
        .store
        .write("trigger.settle", Durability::Progress, move |tx| deliveries::settle(tx, id, state, &bounded(&outcome)));
    written.await?;
    Ok(())
}

fn bounded(text: &str) -> String {
    text.chars().take(MAX_OUTCOME).collect()
}

#[cfg(test)]
mod tests;
