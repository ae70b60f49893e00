//! The list of calls: each checks the credential and goes to its group.
use std::sync::Arc;

use danube_proto::v1;
use danube_proto::v1::coordinator_server::Coordinator;
use tonic::{Request, Response, Status};

use super::session::admitted;
use super::{artifacts, builds, facts, reports, secrets, services, steps};
use crate::orchestrator::LiveJob;

/// The calls of one job.
pub(super) struct Service {
    job: Arc<LiveJob>,
}

impl Service {
    pub(super) const fn new(job: Arc<LiveJob>) -> Self {
        Self { job }
    }
}

/// Each method: admitted, then the function of its group.
macro_rules! calls {
    ($($method:ident($request:ident) -> $reply:ident = $group:ident;)*) => {
        #[tonic::async_trait]
        impl Coordinator for Service {
            $(async fn $method(&self, request: Request<v1::$request>) -> Result<Response<v1::$reply>, Status> {
                let job = admitted(&self.job, &request)?;
                $group::$method(job, request.into_inner()).await.map(Response::new)
            })*
        }
    };
}

calls! {
    register(RegisterRequest) -> RegisterReply = facts;
    declare(DeclareRequest) -> DeclareReply = facts;
    get_context(GetContextRequest) -> GetContextReply = facts;
    run_step(RunStepRequest) -> RunStepReply = steps;
    build_image(BuildImageRequest) -> BuildImageReply = builds;
    check_secret(CheckSecretRequest) -> CheckSecretReply = secrets;
    reveal_secret(RevealSecretRequest) -> RevealSecretReply = secrets;
    mask_value(MaskValueRequest) -> MaskValueReply = secrets;
    store_artifact(StoreArtifactRequest) -> StoreArtifactReply = artifacts;
    fetch_artifact(FetchArtifactRequest) -> FetchArtifactReply = artifacts;
    changed(ChangedRequest) -> ChangedReply = facts;
    hash(HashRequest) -> HashReply = facts;
    now(NowRequest) -> NowReply = facts;
    random(RandomRequest) -> RandomReply = facts;
    junit(JunitRequest) -> JunitReply = reports;
    annotate(AnnotateRequest) -> AnnotateReply = reports;
    start_service(StartServiceRequest) -> StartServiceReply = services;
    stop_service(StopServiceRequest) -> StopServiceReply = services;
}
