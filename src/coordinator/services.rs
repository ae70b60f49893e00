//! Calls about services.
use std::sync::Arc;

use danube_proto::v1;
use tonic::Status;

use crate::orchestrator::LiveJob;

pub(super) async fn start_service(
    _job: &Arc<LiveJob>,
    _request: v1::StartServiceRequest,
) -> Result<v1::StartServiceReply, Status> {
    Err(Status::unimplemented("this server can't run services yet"))
}

pub(super) async fn stop_service(
    _job: &Arc<LiveJob>,
    _request: v1::StopServiceRequest,
) -> Result<v1::StopServiceReply, Status> {
    Err(Status::unimplemented("this server can't run services yet"))
}
