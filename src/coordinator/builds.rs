//! The call that builds an image.
use std::sync::Arc;

use danube_proto::v1;
use tonic::Status;

use super::session::call;
use super::steps;
use crate::orchestrator::{BuildRequest, LiveJob, StepAnswer};

pub(super) async fn build_image(
    job: &Arc<LiveJob>,
    request: v1::BuildImageRequest,
) -> Result<v1::BuildImageReply, Status> {
    let call = call("build", request.call.clone())?;
    Ok(ended(job.build_image(call, asked(request)).await?))
}

/// How a build ended, as it is sent.
pub(super) fn ended(mut answer: StepAnswer) -> v1::BuildImageReply {
    let image = std::mem::take(&mut answer.stdout);
    v1::BuildImageReply { image, step: Some(steps::ended(answer)) }
}

/// An image as it was asked for.
pub(super) fn asked(request: v1::BuildImageRequest) -> BuildRequest {
    BuildRequest {
        dockerfile: request.dockerfile,
        context: request.context,
        tag: request.tag,
        args: request.args.into_iter().collect(),
    }
}
