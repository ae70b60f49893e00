//! The end: nothing stays on the machine.
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::Value;

use super::api::Api;
use super::place::Place;
use super::server::{Server, socket};
use crate::cli::privileges;
use crate::executor::Executor;
use crate::executor::remote::Client;

/// The longest that jobs may take to end, once they are cancelled.
const CANCEL: Duration = Duration::from_secs(30);
/// The longest that the executor may take to end.
const EXECUTOR: Timespec = Timespec { tv_sec: 90, tv_nsec: 0 };

/// Ends jobs, server and executor, and removes the directory. What could not be done is told, and
/// the rest is done all the same.
pub(in crate::cli) async fn clear(place: &Place, server: Option<Server>) -> Vec<String> {
    let mut complaints = Vec::new();
    if let Some(mut server) = server {
        // A server that has ended has no jobs to cancel.
        if matches!(server.ended(), Ok(None)) {
            note(&mut complaints, cancel_jobs(place, &mut server).await);
        }
        note(&mut complaints, server.stop().await);
    }
    note(&mut complaints, end_executor(place).await);
    note(&mut complaints, tokio::task::block_in_place(|| place.remove()));
    complaints
}

fn note(complaints: &mut Vec<String>, result: anyhow::Result<()>) {
    if let Err(error) = result {
        complaints.push(format!("{error:#}"));
    }
}

async fn cancel_jobs(place: &Place, server: &mut Server) -> anyhow::Result<()> {
    if !socket(place).exists() {
        return Ok(());
    }
    let api = Api::new(&socket(place))?;
    for id in unfinished(&api).await? {
        api.post(&format!("/api/v1/jobs/{id}/cancel")).await?;
    }
    server.until("the cancelled job ended", CANCEL, async || Ok(unfinished(&api).await?.is_empty().then_some(()))).await
}

async fn unfinished(api: &Api) -> anyhow::Result<Vec<String>> {
    let answer = api.get("/api/v1/jobs").await?;
    let open = |job: &&Value| matches!(job["status"].as_str(), Some("pending" | "running"));
    let jobs = answer["jobs"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(jobs.iter().filter(open).filter_map(|job| job["id"].as_str().map(str::to_owned)).collect())
}

/// The executor has a session of its own and outlives the server: it is told that it may go.
async fn end_executor(place: &Place) -> anyhow::Result<()> {
    let Ok(instance) = fs::read_to_string(place.data().join("instance")) else {
        // The server did not come as far.
        return Ok(());
    };
    let run = privileges::run_dir(instance.trim());
    let socket = run.join("executor.sock");
    let Some(pid) = peer(&socket)? else {
        return gone(&run);
    };
    let process = pidfd_open(pid, PidfdFlags::empty()).context("cannot watch the executor's end")?;
    let client = Client::new(&socket);
    // What a job that was cut off left behind would keep it.
    for job in client.list().await? {
        client.teardown(job).await?;
    }
    client.leave().await?;
    drop(client);
    let ended = tokio::task::spawn_blocking(move || {
        let mut fds = [PollFd::new(&process, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut fds, Some(&EXECUTOR)))
    });
    if ended.await?? == 0 {
        bail!("the executor (process {pid}) did not end within {} seconds", EXECUTOR.tv_sec);
    }
    gone(&run)
}

/// The process of the executor that serves an instance; none: there is none.
pub(in crate::cli) fn executor_of(instance: &str) -> anyhow::Result<Option<Pid>> {
    peer(&privileges::run_dir(instance).join("executor.sock"))
}

fn peer(socket: &Path) -> anyhow::Result<Option<Pid>> {
    let Ok(stream) = UnixStream::connect(socket) else { return Ok(None) };
    let peer = rustix::net::sockopt::socket_peercred(&stream).context("cannot tell which process the executor is")?;
    Ok(Some(peer.pid))
}

fn gone(run: &Path) -> anyhow::Result<()> {
    if run.exists() {
        fs::remove_dir_all(run).with_context(|| format!("{} could not be removed", run.display()))?;
    }
    Ok(())
}
