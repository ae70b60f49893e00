//! A person or a token asks for a job.
use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use crate::mirror::Mirror;
use crate::model::param;
use crate::model::trigger::{Revision, Trigger};
use crate::model::{JobId, PipelineId, Principal};
use crate::store::{Durability, pipelines};

use super::enqueue::{Cause, Made, enqueue};
use super::{Ctx, TriggerError, drain};

/// What is asked for. Whether the asker may is decided before.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// What is built.
    pub target: Target,
    /// `Manual` or `Api`.
    pub trigger: Trigger,
    /// Who asks.
    pub actor: Principal,
    /// Values for the pipeline's params; what is left out has its default.
    pub params: BTreeMap<String, String>,
}

/// What is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The head of the repository's default branch.
    Default,
    /// The head of a branch.
    Branch(String),
    /// A commit, by its id or a unique start of it.
    Commit(String),
}

/// Fetches the repository, finds what is asked for and makes the job. When it answers, the job is durable.
pub async fn manual(ctx: &Ctx, ask: Ask, stop: &CancellationToken) -> Result<JobId, TriggerError> {
    let id = ask.pipeline;
    let (row, draining) = ctx.store.read(move |view| Ok((pipelines::get(view, id)?, drain::is_on(view)?))).await?;
    if !row.active {
        return Err(TriggerError::Inactive { name: row.name });
    }
    if draining {
        return Err(TriggerError::Draining);
    }
    // A wrong value is told before a fetch; what counts is the check in the job's transaction.
    param::fill(&row.pipeline()?.params, &ask.params)?;
    let mirror = ctx.fetched(&row.repository, stop).await?;
    let revision = find(ctx, &mirror, &ask.target, stop).await?;
    let cause = Cause {
        trigger: ask.trigger,
        event: None,
        origin: None,
        actor: ask.actor,
        params: ask.params,
        dedupe_key: None,
    };
    match ctx
        .store
        .write("trigger.manual", Durability::Acknowledged, move |tx| enqueue(tx, id, revision, cause))
        .await?
    {
        Made::Job(job) => Ok(job.id),
        Made::Inactive => Err(TriggerError::Inactive { name: row.name }),
        Made::Refused(bad) => Err(bad.into()),
    }
}

async fn find(ctx: &Ctx, mirror: &Mirror, target: &Target, stop: &CancellationToken) -> Result<Revision, TriggerError> {
    let objects = mirror.objects();
    match target {
        Target::Branch(branch) => Ok(objects.resolve(branch).await?),
        Target::Commit(commit) => {
            let revision = objects.revision(commit, "").await?;
            let holders = objects.branches_with(&revision.commit).await?;
            // Several branches may hold it; what people take for the main line speaks for it.
            let usual = holders.iter().find(|b| matches!(b.as_str(), "main" | "master"));
            let branch = usual.or(holders.first()).cloned();
            let branch = branch.ok_or_else(|| TriggerError::OnNoBranch { commit: revision.commit.clone() })?;
            Ok(Revision { branch, ..revision })
        }
        Target::Default => {
            let opened = ctx.access(mirror.url()).await?;
            let named = mirror.default_branch(opened.access(), stop).await?;
            let candidates = [named.as_deref(), Some("main"), Some("master")];
            for branch in candidates.into_iter().flatten() {
                if let Some(revision) = objects.find_branch(branch).await? {
                    return Ok(revision);
                }
            }
            Err(TriggerError::NoDefaultBranch { url: mirror.url().to_owned() })
        }
    }
}

#[cfg(test)]
mod tests;
