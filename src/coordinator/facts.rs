//! Calls about the job itself: registration, declaration, context, recorded values.
use std::sync::Arc;
use std::time::Duration;

use danube_proto::v1;
use tonic::Status;

use super::session::call;
use crate::orchestrator::{Context, Declaration, LiveJob};

pub(super) async fn register(job: &Arc<LiveJob>, request: v1::RegisterRequest) -> Result<v1::RegisterReply, Status> {
    job.register(&call("register", request.call)?, &request.sdk_version).await?;
    Ok(v1::RegisterReply { server_version: env!("CARGO_PKG_VERSION").to_owned(), features: Vec::new() })
}

pub(super) async fn declare(job: &Arc<LiveJob>, request: v1::DeclareRequest) -> Result<v1::DeclareReply, Status> {
    let call = call("declare", request.call.clone())?;
    job.declare(&call, declaration(request)).await?;
    Ok(v1::DeclareReply {})
}

/// A declaration as it was sent.
pub(super) fn declaration(request: v1::DeclareRequest) -> Declaration {
    Declaration {
        name: request.name,
        timeout: (request.timeout_ms > 0).then(|| Duration::from_millis(request.timeout_ms)),
        egress: request.has_egress.then_some(request.egress),
    }
}

pub(super) async fn get_context(
    job: &Arc<LiveJob>,
    request: v1::GetContextRequest,
) -> Result<v1::GetContextReply, Status> {
    Ok(shown(job.context(&call("context", request.call)?).await?))
}

/// What `ctx` shows, as it is sent.
pub(super) fn shown(context: Context) -> v1::GetContextReply {
    v1::GetContextReply {
        job_id: context.job_id,
        number: context.number,
        attempt: context.attempt,
        pipeline: context.pipeline,
        repository: context.repository,
        url: context.url,
        branch: context.branch,
        tag: context.tag,
        commit_sha: context.commit_sha,
        commit_message: context.commit_message,
        author: context.author,
        actor: context.actor,
        trigger: context.trigger,
        event: context.event,
        pr: context.pr,
        pr_base: context.pr_base,
        is_fork: context.is_fork,
        params: context.params.into_iter().collect(),
    }
}

pub(super) async fn changed(job: &Arc<LiveJob>, request: v1::ChangedRequest) -> Result<v1::ChangedReply, Status> {
    let answer = job.changed(&call("changed", request.call)?, &request.globs).await?;
    Ok(v1::ChangedReply { changed: answer.changed, why: answer.why })
}

pub(super) async fn hash(job: &Arc<LiveJob>, request: v1::HashRequest) -> Result<v1::HashReply, Status> {
    let hash = job.hash(&call("hash", request.call)?, &request.globs).await?;
    Ok(v1::HashReply { hash })
}

pub(super) async fn now(job: &Arc<LiveJob>, request: v1::NowRequest) -> Result<v1::NowReply, Status> {
    Ok(v1::NowReply { now: job.now(&call("now", request.call)?).await? })
}

pub(super) async fn random(job: &Arc<LiveJob>, request: v1::RandomRequest) -> Result<v1::RandomReply, Status> {
    Ok(v1::RandomReply { value: job.random(&call("random", request.call)?).await? })
}
