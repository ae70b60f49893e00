//! `GET /api/v1/health/details`: what whoever runs the server looks at first.
use std::fs;
use std::path::{Path, PathBuf};

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::Action;
use crate::store::{config_commits, deliveries, job_list, jobs, settings};
use crate::web::access;
use crate::web::blocking;
use crate::web::error::Answer;
use crate::web::state::{AppState, FOLLOWERS};
use crate::web::visitor::Visitor;

/// How the server is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "HealthDetails")]
pub(in crate::web) struct Details {
    /// Nothing is down.
    pub(in crate::web) ready: bool,
    /// The names of what is down.
    pub(in crate::web) down: Vec<String>,
    pub(in crate::web) executor_reachable: bool,
    pub(in crate::web) version: &'static str,
    /// The version of the database's schema.
    pub(in crate::web) schema: i64,
    pub(in crate::web) started_at: Timestamp,
    pub(in crate::web) uptime_seconds: u64,
    pub(in crate::web) queue: Queue,
    pub(in crate::web) config: ConfigSync,
    pub(in crate::web) database_bytes: u64,
    pub(in crate::web) disks: Vec<Disk>,
    /// Local copies of repositories.
    pub(in crate::web) mirrors: u64,
    pub(in crate::web) open_streams: u64,
    /// Open streams at most.
    pub(in crate::web) streams_limit: u64,
    /// Webhook deliveries that were taken and not looked at yet.
    pub(in crate::web) deliveries_waiting: u64,
    /// The registry beside the server: `up`, `starting`, `down: why`, or why there is none.
    pub(in crate::web) registry: String,
}

/// What waits and what runs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "QueueState")]
pub(in crate::web) struct Queue {
    pub(in crate::web) pending: u64,
    pub(in crate::web) running: u64,
    pub(in crate::web) running_limit: u32,
    /// Since when the job waits that waits longest.
    pub(in crate::web) oldest_pending: Option<Timestamp>,
}

/// The last look at the config repo.
#[derive(Serialize, JsonSchema)]
pub(in crate::web) struct ConfigSync {
    pub(in crate::web) in_force: Option<String>,
    pub(in crate::web) last_attempt: Option<Timestamp>,
    pub(in crate::web) last_success: Option<Timestamp>,
    /// Why the config repo cannot be looked at.
    pub(in crate::web) error: Option<String>,
    /// The newest commit, where its mistakes keep it from being in force.
    pub(in crate::web) refused: Option<String>,
    /// How many mistakes it has.
    pub(in crate::web) mistakes: u64,
}

/// The room where a directory lies.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DiskState")]
pub(in crate::web) struct Disk {
    /// What it is for.
    pub(in crate::web) what: &'static str,
    pub(in crate::web) path: String,
    pub(in crate::web) free_bytes: u64,
    pub(in crate::web) total_bytes: u64,
}

/// Details of health, for global admins.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor) -> Answer {
    Ok(Json(details(&app, &visitor).await?).into_response())
}

/// Looks at everything.
pub(in crate::web) async fn details(app: &AppState, visitor: &Visitor) -> Answer<Details> {
    access::allow(visitor, Action::ReadHealth)?;
    let down = (app.hooks.down)().await;
    let read = app.store.read(|view| {
        let live = job_list::live(view)?;
        let oldest = jobs::pending(view, 1)?.first().map(|job| job.created_at);
        let limit = config_commits::global_in_force(view)?.max_running_jobs;
        Ok((live, oldest, limit, deliveries::count_waiting(view)?, settings::schema(view)?.0))
    });
    let (live, oldest_pending, running_limit, deliveries_waiting, schema) = read.await?;
    let config = (app.hooks.config)();
    let (database, dirs) = (app.store.path().to_owned(), app.dirs());
    let mirrors_dir = app.trigger.repos.dir().to_owned();
    let on_disk =
        blocking::run(move || Ok::<_, std::io::Error>((size_of(&database), disks(dirs), entries(&mirrors_dir))));
    let (database_bytes, disks, mirrors) = on_disk.await?;
    let uptime = app.now().as_second() - app.started_at.as_second();
    Ok(Details {
        ready: down.is_empty(),
        executor_reachable: !down.iter().any(|name| name == "executor"),
        down,
        version: env!("CARGO_PKG_VERSION"),
        schema,
        started_at: app.started_at,
        uptime_seconds: u64::try_from(uptime).unwrap_or(0),
        queue: Queue { pending: live.pending, running: live.running, running_limit, oldest_pending },
        config: ConfigSync {
            in_force: config.in_force.map(|commit| commit.commit),
            last_attempt: config.last_attempt,
            last_success: config.last_success,
            error: config.error,
            refused: config.last_seen.filter(|_| !config.issues.is_empty()),
            mistakes: config.issues.len() as u64,
        },
        database_bytes,
        disks,
        mirrors,
        open_streams: FOLLOWERS.saturating_sub(app.followers.available_permits()) as u64,
        streams_limit: FOLLOWERS as u64,
        deliveries_waiting,
        registry: super::registry::said(app),
    })
}

/// The database with what is not yet folded into it.
pub(in crate::web) fn size_of(database: &Path) -> u64 {
    let files = ["", "-wal"].map(|end| {
        let mut name = database.as_os_str().to_owned();
        name.push(end);
        fs::metadata(name).map_or(0, |about| about.len())
    });
    files.iter().sum()
}

/// A directory that is not there yet has no room to tell of.
fn disks(dirs: Vec<(&'static str, PathBuf)>) -> Vec<Disk> {
    let room = |(what, path): (&'static str, PathBuf)| {
        let about = rustix::fs::statvfs(&path).ok()?;
        let path = path.display().to_string();
        let (free_bytes, total_bytes) = (about.f_bavail * about.f_frsize, about.f_blocks * about.f_frsize);
        Some(Disk { what, path, free_bytes, total_bytes })
    };
    dirs.into_iter().filter_map(room).collect()
}

fn entries(dir: &Path) -> u64 {
    fs::read_dir(dir).map_or(0, |entries| entries.flatten().filter(|entry| entry.path().is_dir()).count() as u64)
}
