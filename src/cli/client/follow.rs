//! Follows a job to its end, with progress.
use std::time::Duration;

use super::error::ClientError;
use super::events::{Events, JobEvent};
use super::job::Job;
use super::job_name::JobName;
use super::log_end::{LogEnd, log_end};
use super::progress::{Progress, live, summary};
use super::request::Client;
use crate::cli::style::Screen;
use crate::model::job::Status;

/// The live lines are drawn so often where nothing happens.
const TICK: Duration = Duration::from_millis(200);

/// Shows a job's progress until it has ended; its status then. Goes on over restarts of the server.
pub async fn follow(client: &Client, job: &JobName, screen: &mut Screen) -> Result<Status, ClientError> {
    let followed = watch(client, job, screen).await;
    // Whatever comes next must not stand behind a live line.
    screen.clear().map_err(ClientError::output)?;
    let (status, last) = followed?;
    if let Some(job_now) = last {
        let end = match job_now.culprit() {
            // The end is known; a log that cannot be read now takes nothing from it.
            Some(step) => match explained(client, job).await {
                Some(end) => Some(end),
                None => log_end(client, job, step).await.unwrap_or_default(),
            },
            None => None,
        };
        for line in summary(&job_now, end.as_ref(), screen.look()) {
            screen.line(&line).map_err(ClientError::output)?;
        }
    }
    Ok(status)
}

/// The lines that the server names as the cause.
async fn explained(client: &Client, job: &JobName) -> Option<LogEnd> {
    let value = super::summary::summary(client, job).await.ok()??;
    LogEnd::of(&serde_json::from_value(value).ok()?)
}

async fn watch(
    client: &Client,
    name: &JobName,
    screen: &mut Screen,
) -> Result<(Status, Option<Box<Job>>), ClientError> {
    let mut events = Events::of(client, name);
    let mut progress = Progress::default();
    let mut job: Option<Box<Job>> = None;
    let mut lost = false;
    let mut tick = tokio::time::interval(TICK);
    loop {
        let event = {
            // Kept over ticks: a connection that is being made is not begun anew by each.
            let mut next = std::pin::pin!(events.next());
            loop {
                tokio::select! {
                    biased;
                    event = &mut next => break event?,
                    _ = tick.tick(), if screen.is_live() => {
                        if let Some(job) = &job {
                            screen.live(&live(job, lost, screen.now())).map_err(ClientError::output)?;
                        }
                    }
                }
            }
        };
        lost = match event {
            Some(JobEvent::State(mut now)) => {
                let waiting = now.status == Status::Pending;
                for line in progress.lines(&now, screen.look(), !screen.is_live()) {
                    screen.line(&line).map_err(ClientError::output)?;
                }
                if waiting && screen.is_live() {
                    // Why it waits stands in the job alone; without it the line is only shorter.
                    let shown: Result<Job, _> = client.fetch(name.get("")).await;
                    now.waiting = shown.ok().and_then(|job| job.waiting);
                }
                job = Some(now);
                false
            }
            Some(JobEvent::Log(_)) => false,
            Some(JobEvent::Lost(error)) => {
                if !screen.is_live() {
                    screen.line(&format!("◌ {error}; trying again")).map_err(ClientError::output)?;
                }
                true
            }
            Some(JobEvent::End(status)) => return Ok((status, job)),
            None => {
                return Err(ClientError::Strange {
                    place: client.place(),
                    why: "the events ended without the job's end".to_owned(),
                });
            }
        };
    }
}
