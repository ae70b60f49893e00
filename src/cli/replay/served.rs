//! A job of a server: its calls page by page, and the files of its commit.
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::python::Place;
use super::{Ended, ReplayArgs};
use crate::cli::client::{Client, ClientError, JobName, segment};
use crate::model::job::Status;
use crate::orchestrator::{Context, RecordedCall};

/// A page of the answer.
#[derive(Deserialize)]
struct Page {
    label: String,
    status: Status,
    reason: Option<String>,
    script: String,
    context: Context,
    calls: Vec<RecordedCall>,
    next: Option<String>,
}

/// Asks for everything that the replay needs; the checkout is written below the place.
pub(super) async fn read(
    client: &Client,
    job: &JobName,
    args: &ReplayArgs,
    place: &Place,
) -> Result<Ended, ClientError> {
    let newer = "the record of a job";
    let mut page: Page = client.fetch(job.get("/replay").newer(newer)).await?;
    let mut calls = std::mem::take(&mut page.calls);
    while let Some(next) = page.next.take() {
        page = client.fetch(job.get(&format!("/replay?cursor={}", segment(&next)))).await?;
        calls.append(&mut page.calls);
    }
    let source = place.path().join("source");
    if args.source.is_none() {
        unpack(client, job, &source).await?;
    }
    let Page { label, status, reason, script, context, .. } = page;
    Ok(Ended { label, status, reason, context, calls, source, script })
}

/// `tar` writes links last and nothing outside the directory.
async fn unpack(client: &Client, job: &JobName, dir: &std::path::Path) -> Result<(), ClientError> {
    let unwritten = |source| ClientError::Output { place: dir.display().to_string(), source };
    let failed = |why: &str| ClientError::Failed(format!("the job's files could not be unpacked by tar: {why}"));
    std::fs::create_dir(dir).map_err(unwritten)?;
    let mut tar = Command::new("tar");
    tar.args(["-x", "--no-same-owner", "--no-same-permissions", "-f", "-", "-C"]).arg(dir);
    let mut tar = tar.stdin(Stdio::piped()).spawn().map_err(|error| failed(&error.to_string()))?;
    let mut pipe = tar.stdin.take();
    let fetched = client.stream(job.get("/replay/source"), |piece| match &mut pipe {
        Some(pipe) => pipe.write_all(piece).map_err(unwritten),
        None => Ok(()),
    });
    let fetched = fetched.await;
    drop(pipe);
    let status = tar.wait().map_err(|error| failed(&error.to_string()))?;
    fetched?;
    if status.success() { Ok(()) } else { Err(failed(&status.to_string())) }
}
