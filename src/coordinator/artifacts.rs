//! Calls about artifacts.
use std::sync::Arc;

use danube_proto::v1;
use tonic::Status;

use super::session::call;
use crate::orchestrator::{LiveJob, Upload};

pub(super) async fn store_artifact(
    job: &Arc<LiveJob>,
    request: v1::StoreArtifactRequest,
) -> Result<v1::StoreArtifactReply, Status> {
    let call = call("upload", request.call)?;
    let kept = job
        .store_artifact(call, Upload::parse(request.path, request.name, &request.when, !request.no_provenance)?)
        .await?;
    Ok(v1::StoreArtifactReply { name: kept.name, sha256: kept.sha256, size: kept.size })
}

pub(super) async fn fetch_artifact(
    job: &Arc<LiveJob>,
    request: v1::FetchArtifactRequest,
) -> Result<v1::FetchArtifactReply, Status> {
    let call = call("download", request.call)?;
    job.fetch_artifact(call, request.name, request.dest, request.job).await?;
    Ok(v1::FetchArtifactReply {})
}
