//! What a master finds of one that died, in its own directories. Under the lock on the data directory, which proves
//! that nobody else writes there.
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Engine;
use super::error::chain;
use crate::artifacts;
use crate::model::JobId;
use crate::queue::Claimed;
use crate::store::jobs;

/// Jobs that are looked up at once.
const BATCH: usize = 200;
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
        let path = dir.clone();
        let named = tokio::task::spawn_blocking(move || of_jobs(&path)).await.unwrap_or_default();
        for some in named.chunks(BATCH) {
            let ids: Vec<JobId> = some.to_vec();
            let known = engine.store.read(move |view| {
                ids.into_iter()
                    .filter_map(|id| jobs::find(view, id).map(|row| row.map(|row| row.id)).transpose())
                    .collect()
            });
            let known: HashSet<JobId> = match known.await {
                Ok(known) => known,
                Err(error) => return tracing::warn!(error = chain(&error), "left-overs could not be looked for"),
            };
            let gone = some.iter().filter(|id| !known.contains(id)).map(|id| (*id, dir.join(id.to_string())));
            let gone: Vec<(JobId, PathBuf)> = gone.collect();
            let removing = tokio::task::spawn_blocking(move || {
                for (job, path) in gone {
                    match fs::remove_dir_all(&path) {
                        Ok(()) => removed(what, &path.display().to_string(), Some(job), "its job is gone"),
                        Err(error) => kept(what, &path, &error),
                    }
                }
            });
            if removing.await.is_err() {
                tracing::error!(what, "left-overs could not be removed");
            }
        }
    }
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
