//! Calls about services.
use std::sync::Arc;
use std::time::Duration;

use danube_proto::v1;
use tonic::Status;

use super::session::call;
use super::steps::named;
use crate::orchestrator::{LiveJob, ServiceAnswer, ServiceRequest};

pub(super) async fn start_service(
    job: &Arc<LiveJob>,
    request: v1::StartServiceRequest,
) -> Result<v1::StartServiceReply, Status> {
    let call = call("start", request.call.clone())?;
    Ok(started(job.start_service(call, service(request)?).await?))
}

/// What became of a start, as it is sent.
pub(super) fn started(answer: ServiceAnswer) -> v1::StartServiceReply {
    v1::StartServiceReply { host: answer.host, port: u32::from(answer.port), message: answer.message }
}

/// A service as it was sent.
pub(super) fn service(request: v1::StartServiceRequest) -> Result<ServiceRequest, Status> {
    let port = u16::try_from(request.port);
    Ok(ServiceRequest {
        name: request.name,
        image: request.image,
        port: port.map_err(|_| Status::invalid_argument("the port of a service must be 1 to 65535"))?,
        env: named("env=", request.env)?,
        ready: request.ready,
        ready_timeout: (request.ready_timeout_ms > 0).then(|| Duration::from_millis(request.ready_timeout_ms)),
    })
}

pub(super) async fn stop_service(
    job: &Arc<LiveJob>,
    request: v1::StopServiceRequest,
) -> Result<v1::StopServiceReply, Status> {
    let end = job.stop_service(call("stop", request.call)?).await?;
    Ok(v1::StopServiceReply { message: end.message })
}
