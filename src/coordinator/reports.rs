//! Calls that report about the job.
use std::sync::Arc;

use danube_proto::v1;
use tonic::Status;

use super::session::call;
use crate::orchestrator::{Annotation, LiveJob, TestSummary};

pub(super) async fn junit(job: &Arc<LiveJob>, request: v1::JunitRequest) -> Result<v1::JunitReply, Status> {
    Ok(summed(job.junit(call("junit", request.call)?, request.glob, request.name).await?))
}

/// What reports hold, as it is sent.
pub(super) fn summed(found: TestSummary) -> v1::JunitReply {
    v1::JunitReply {
        name: found.name,
        files: found.files,
        total: found.total,
        passed: found.passed,
        failed: found.failed,
        skipped: found.skipped,
        newly_failing: found.newly_failing,
        flaky: found.flaky,
        seconds: found.seconds,
        lines: found.lines,
    }
}

pub(super) async fn annotate(job: &Arc<LiveJob>, request: v1::AnnotateRequest) -> Result<v1::AnnotateReply, Status> {
    let call = call("annotate", request.call)?;
    job.annotate(call, Annotation::parse(request.markdown, &request.level)?).await?;
    Ok(v1::AnnotateReply {})
}
