//! Who calls: the socket says which job, the credential that it is that job's coordinator.
use std::sync::Arc;

use danube_proto::v1;
use tonic::{Request, Status};

use crate::orchestrator::{Call, LiveJob};

/// The job behind a request, where the request carries its credential.
pub(super) fn admitted<'a, T>(job: &'a Arc<LiveJob>, request: &Request<T>) -> Result<&'a Arc<LiveJob>, Status> {
    let header = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
    let presented = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if job.accepts(presented) {
        Ok(job)
    } else {
        Err(Status::unauthenticated("this call does not carry the job's credential"))
    }
}

/// Key and line of a call.
pub(super) fn call(kind: &str, call: Option<v1::Call>) -> Result<Call, Status> {
    let call = call.ok_or_else(|| Status::invalid_argument("the call has no key"))?;
    Ok(Call::parse(kind, &call.key, &call.file, call.line)?)
}
