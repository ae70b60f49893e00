//! The same service over the record of a job that ended: nothing is run, nothing is changed.
use std::sync::Arc;

use danube_proto::v1;
use danube_proto::v1::coordinator_server::Coordinator;
use serde::de::DeserializeOwned;
use tonic::{Request, Response, Status};

use super::session::call;
use super::{builds, facts, reports, services, steps};
use crate::orchestrator::{Annotation, Canonical, Changed, Kept, NoAnswer, Recording, ServiceEnd, Upload, Value};

/// The calls of a replay.
pub(super) struct Recorded(pub(super) Arc<Recording>);

impl From<NoAnswer> for Status {
    fn from(none: NoAnswer) -> Self {
        match none {
            NoAnswer::Recorded(error) => error.into(),
            // What a danubefile can't catch by mistake, and what ends its other branches as well.
            NoAnswer::Stop(stop) => Self::cancelled(stop.text),
        }
    }
}

type Answer<T> = Result<Response<T>, Status>;

impl Recorded {
    fn answer<T: DeserializeOwned>(&self, kind: &str, at: Option<v1::Call>, form: &Canonical) -> Result<T, Status> {
        Ok(self.0.answer(&call(kind, at)?, form)?)
    }
}

#[tonic::async_trait]
impl Coordinator for Recorded {
    async fn register(&self, request: Request<v1::RegisterRequest>) -> Answer<v1::RegisterReply> {
        self.answer::<()>("register", request.into_inner().call, &Canonical::register())?;
        let server_version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Response::new(v1::RegisterReply { server_version, features: Vec::new() }))
    }

    async fn declare(&self, request: Request<v1::DeclareRequest>) -> Answer<v1::DeclareReply> {
        let mut request = request.into_inner();
        let call = request.call.take();
        self.answer::<()>("declare", call, &Canonical::declare(&facts::declaration(request)))?;
        Ok(Response::new(v1::DeclareReply {}))
    }

    async fn get_context(&self, _: Request<v1::GetContextRequest>) -> Answer<v1::GetContextReply> {
        Ok(Response::new(facts::shown(self.0.context())))
    }

    async fn run_step(&self, request: Request<v1::RunStepRequest>) -> Answer<v1::RunStepReply> {
        let mut request = request.into_inner();
        let call = call("run", request.call.take())?;
        Ok(Response::new(steps::ended(self.0.run_step(&call, &steps::step(request)?)?)))
    }

    async fn build_image(&self, request: Request<v1::BuildImageRequest>) -> Answer<v1::BuildImageReply> {
        let mut request = request.into_inner();
        let call = call("build", request.call.take())?;
        let step = builds::asked(request).step(&self.0.context().pipeline)?;
        Ok(Response::new(builds::ended(self.0.run_step(&call, &step)?)))
    }

    async fn check_secret(&self, request: Request<v1::CheckSecretRequest>) -> Answer<v1::CheckSecretReply> {
        let request = request.into_inner();
        self.answer::<()>("secret", request.call, &Canonical::secret(&request.name))?;
        Ok(Response::new(v1::CheckSecretReply {}))
    }

    async fn reveal_secret(&self, request: Request<v1::RevealSecretRequest>) -> Answer<v1::RevealSecretReply> {
        let request = request.into_inner();
        let value = steps::value(request.value)?;
        // Whether it was allowed is recorded, the value is not.
        let call = call("reveal", request.call)?;
        if self.0.knows(&call) {
            self.0.answer::<()>(&call, &Canonical::reveal(&value))?;
        }
        let (Value::Text(what) | Value::Secret(what) | Value::Captured(what)) = value;
        Err(Status::permission_denied(format!(
            "this is a replay, which has no values of secrets: '{what}' can't be revealed"
        )))
    }

    async fn mask_value(&self, request: Request<v1::MaskValueRequest>) -> Answer<v1::MaskValueReply> {
        let request = request.into_inner();
        self.answer::<()>("mask", request.call, &Recording::mask(&request.value))?;
        Ok(Response::new(v1::MaskValueReply {}))
    }

    async fn store_artifact(&self, request: Request<v1::StoreArtifactRequest>) -> Answer<v1::StoreArtifactReply> {
        let request = request.into_inner();
        let upload = Upload::parse(request.path, request.name, &request.when, !request.no_provenance)?;
        let kept: Kept = self.answer("upload", request.call, &Canonical::upload(&upload))?;
        Ok(Response::new(v1::StoreArtifactReply { name: kept.name, sha256: kept.sha256, size: kept.size }))
    }

    async fn fetch_artifact(&self, request: Request<v1::FetchArtifactRequest>) -> Answer<v1::FetchArtifactReply> {
        let request = request.into_inner();
        let form = Canonical::download(&request.name, &request.dest, &request.job);
        self.answer::<()>("download", request.call, &form)?;
        Ok(Response::new(v1::FetchArtifactReply {}))
    }

    async fn changed(&self, request: Request<v1::ChangedRequest>) -> Answer<v1::ChangedReply> {
        let request = request.into_inner();
        let found: Changed = self.answer("changed", request.call, &Canonical::changed(&request.globs))?;
        Ok(Response::new(v1::ChangedReply { changed: found.changed, why: found.why }))
    }

    async fn hash(&self, request: Request<v1::HashRequest>) -> Answer<v1::HashReply> {
        let request = request.into_inner();
        let hash = self.answer("hash", request.call, &Canonical::files_hash(&request.globs))?;
        Ok(Response::new(v1::HashReply { hash }))
    }

    async fn now(&self, request: Request<v1::NowRequest>) -> Answer<v1::NowReply> {
        let now = self.answer("now", request.into_inner().call, &Canonical::now())?;
        Ok(Response::new(v1::NowReply { now }))
    }

    async fn random(&self, request: Request<v1::RandomRequest>) -> Answer<v1::RandomReply> {
        let value = self.answer("random", request.into_inner().call, &Canonical::random())?;
        Ok(Response::new(v1::RandomReply { value }))
    }

    async fn junit(&self, request: Request<v1::JunitRequest>) -> Answer<v1::JunitReply> {
        let request = request.into_inner();
        let form = Canonical::junit(&request.glob, &request.name);
        Ok(Response::new(reports::summed(self.answer("junit", request.call, &form)?)))
    }

    async fn annotate(&self, request: Request<v1::AnnotateRequest>) -> Answer<v1::AnnotateReply> {
        let request = request.into_inner();
        let annotation = Annotation::parse(request.markdown, &request.level)?;
        self.answer::<()>("annotate", request.call, &Canonical::annotate(&annotation))?;
        Ok(Response::new(v1::AnnotateReply {}))
    }

    async fn start_service(&self, request: Request<v1::StartServiceRequest>) -> Answer<v1::StartServiceReply> {
        let mut request = request.into_inner();
        let call = call("start", request.call.take())?;
        Ok(Response::new(services::started(self.0.start_service(&call, &services::service(request)?)?)))
    }

    async fn stop_service(&self, request: Request<v1::StopServiceRequest>) -> Answer<v1::StopServiceReply> {
        let end: ServiceEnd = self.answer("stop", request.into_inner().call, &Canonical::service_end())?;
        Ok(Response::new(v1::StopServiceReply { message: end.message }))
    }
}
