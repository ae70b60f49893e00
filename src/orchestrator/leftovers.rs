//! What a master finds of one that died, in its own directories. Under the lock on the data directory, which proves
//! that nobody else writes there.
use std::fs;
use std::path::Path;

use super::Engine;
use super::error::chain;
use crate::artifacts;
use crate::model::JobId;
use crate::queue::Claimed;
use crate::store::{StoreError, jobs};

/// Jobs that are looked up at once.
const BATCH: usize = 200;
/// So many directories without a job may always be removed.
const A_FEW: usize = 10;
const DEAD: &str = "the master that wrote it died";

/// Removes halves of artifacts. Before any job is driven: whoever writes one later is alive.
pub(super) async fn remove_halves(engine: &Engine, adopted: &[Claimed]) {
    let dirs: Vec<_> = adopted.iter().map(|c| (c.job.id, engine.dirs.artifacts_of(c.job.id))).collect();
    let removing = tokio::task::spawn_blocking(move || {
        for (job, dir) in dirs {
            match artifacts::sweep(&dir) {
                Ok(0) => {}
                Ok(files) => removed("half-received artifacts", &format!("{files} files"), Some(job), DEAD),
                Err(error) => kept("half-received artifacts", &dir, &chain(&error)),
            }
        }
    });
    if removing.await.is_err() {
        tracing::error!("left-overs could not be looked for");
    }
}

/// Removes the logs and artifacts of jobs that have no row: it is made before them, and goes before they do.
pub(super) async fn remove_orphans(engine: &Engine) {
    for (what, dir) in [("a log directory", &engine.dirs.logs), ("a directory of artifacts", &engine.dirs.artifacts)] {
        if let Err(error) = remove_orphans_in(engine, what, dir).await {
            tracing::warn!(what, dir = %dir.display(), error = chain(&error), "left-overs could not be looked for");
        }
    }
}

async fn remove_orphans_in(engine: &Engine, what: &'static str, dir: &Path) -> Result<(), StoreError> {
    let path = dir.to_owned();
    let named = tokio::task::spawn_blocking(move || of_jobs(&path)).await.unwrap_or_default();
    let mut gone = Vec::new();
    for some in named.chunks(BATCH) {
        let ids = some.to_vec();
        let unknown = engine.store.read(move |view| {
            let mut unknown = Vec::new();
            for id in ids {
                if jobs::find(view, id)?.is_none() {
                    unknown.push(id);
                }
            }
            Ok(unknown)
        });
        gone.extend(unknown.await?);
    }
    if gone.len() > A_FEW && gone.len() > named.len() / 2 {
        // A crash leaves one or two. So many speak for another database than these files had.
        let (unknown, all) = (gone.len(), named.len());
        tracing::warn!(what, unknown, all, dir = %dir.display(), "the database does not know most of these jobs; kept");
        return Ok(());
    }
    let dir = dir.to_owned();
    let removing = tokio::task::spawn_blocking(move || {
        for job in gone {
            let path = dir.join(job.to_string());
            match fs::remove_dir_all(&path) {
                Ok(()) => removed(what, &path.display().to_string(), Some(job), "its job is gone"),
                Err(error) => kept(what, &path, &error),
            }
        }
    });
    if removing.await.is_err() {
        tracing::error!(what, "left-overs could not be removed");
    }
    Ok(())
}

/// The jobs that a directory has one for.
fn of_jobs(dir: &Path) -> Vec<JobId> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Removes files that were being written into a directory of the master's when it died: `.NAME.tmp` is what
/// `platform::atomic` and scratch files are called until they are whole. Call before anything is written there.
pub fn remove_temporary(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let half = name.starts_with('.') && name.ends_with(".tmp");
        if half && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            match fs::remove_file(entry.path()) {
                Ok(()) => removed("a half-written file", &entry.path().display().to_string(), None, DEAD),
                Err(error) => kept("a half-written file", &entry.path(), &error),
            }
        }
    }
}

fn removed(what: &str, name: &str, job: Option<JobId>, why: &str) {
    let job = job.map_or_else(|| "none".to_owned(), |job| job.to_string());
    tracing::info!(what, name, job, why, "removed a left-over");
}

fn kept(what: &str, path: &Path, error: &dyn std::fmt::Display) {
    tracing::warn!(what, path = %path.display(), %error, "a left-over can't be removed");
}
