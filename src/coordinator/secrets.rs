//! Calls about secrets.
use std::sync::Arc;

use danube_proto::v1;
use tonic::Status;

use super::session::call;
use super::steps::value;
use crate::model::Secret;
use crate::orchestrator::LiveJob;

pub(super) async fn check_secret(
    job: &Arc<LiveJob>,
    request: v1::CheckSecretRequest,
) -> Result<v1::CheckSecretReply, Status> {
    job.check_secret(&call("secret", request.call)?, &request.name).await?;
    Ok(v1::CheckSecretReply {})
}

pub(super) async fn reveal_secret(
    job: &Arc<LiveJob>,
    request: v1::RevealSecretRequest,
) -> Result<v1::RevealSecretReply, Status> {
    let revealed = job.reveal_secret(&call("reveal", request.call)?, &value(request.value)?).await?;
    Ok(v1::RevealSecretReply { value: revealed.expose().clone() })
}

pub(super) async fn mask_value(
    job: &Arc<LiveJob>,
    request: v1::MaskValueRequest,
) -> Result<v1::MaskValueReply, Status> {
    job.mask_value(call("mask", request.call)?, Secret::new(request.value)).await?;
    Ok(v1::MaskValueReply {})
}
