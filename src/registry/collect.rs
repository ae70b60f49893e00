//! Garbage collection: images that nobody used for long, then the blobs that no image names.
use std::collections::HashSet;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::child::{Program, SETPRIV};
use super::storage::Storage;
use super::{Registry, RegistryError, State, is_cache_of_scope, manifest, quota, upstream};
use crate::artifacts::Digest;
use crate::store::registry::ImageRow;
use crate::store::{Durability, config_commits, registry, settings};

/// Between two collections, and between two looks whether it is time.
const DAY: SignedDuration = SignedDuration::from_hours(24);
const LOOK: Duration = Duration::from_secs(600);
/// Days that layers for the builds of one branch, pull request or tag stay unused; that comes to its end soon.
const SCOPED_DAYS: u32 = 7;
/// The longest that the program may take.
const LONGEST: Duration = Duration::from_secs(3600);
/// When the last one ended, in seconds since 1970.
const LAST: &str = "registry-collected-at";

/// What a collection did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collected {
    /// Images that were removed.
    pub images: u64,
    /// Bytes that are free now and were not before.
    pub bytes: u64,
    /// Bytes that are left.
    pub left: u64,
}

impl std::fmt::Display for Collected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (freed, left) = (quota::shown(self.bytes), quota::shown(self.left));
        write!(f, "{} image(s) removed, {freed} freed, {left} left", self.images)
    }
}

/// Collects once a day, by the retention in force, until told to stop.
pub async fn collect_daily(registry: Arc<Registry>, stop: CancellationToken) {
    if registry.absent().is_some() {
        return;
    }
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
        let due = registry.is_due().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "could not see whether the registry's garbage is to be collected");
            false
        });
        if !due {
            continue;
        }
        let collected = tokio::select! {
            collected = registry.collect() => collected,
            () = stop.cancelled() => return,
        };
        match collected {
            Ok(Some(collected)) => tracing::info!(%collected, "the registry's garbage was collected"),
            Ok(None) => tracing::info!("images are being pushed: the registry's garbage is collected later"),
            Err(error) => tracing::warn!(%error, "the registry's garbage could not be collected; it is tried again"),
        }
    }
}

impl Registry {
    async fn is_due(&self) -> Result<bool, RegistryError> {
        let last = self.store.read(|view| settings::find(view, LAST)).await?;
        let last = last.and_then(|text| Timestamp::from_second(text.parse().ok()?).ok());
        Ok(last.is_none_or(|last| self.store.clock().now().duration_since(last) >= DAY))
    }

    /// Removes what retention says. None: images are being pushed at this moment.
    pub async fn collect(&self) -> Result<Option<Collected>, RegistryError> {
        let program = self.program.as_ref().map_err(|why| RegistryError::Unavailable(why.clone()))?;
        if let State::Down(why) = self.settled().await {
            return Err(RegistryError::Unavailable(format!("the registry is down: {why}")));
        }
        // Who begins to push from here on waits until this is over; who pulls goes on.
        let Some(_closed) = self.sessions.close() else { return Ok(None) };
        let days = self.store.read(config_commits::global_in_force).await?.retention.registry_images_days;
        let storage = self.storage()?;
        let before = self.measure(&storage).await?;
        let gone = self.remove_unused(program, &storage, days).await?;
        sweep(program).await?;
        let left = self.measure(&storage).await?;
        self.quota.forget();
        let now = self.store.clock().now().as_second().to_string();
        let noted =
            self.store.write("registry.collected", Durability::Progress, move |tx| settings::set(tx, LAST, &now));
        noted.await?;
        Ok(Some(Collected { images: gone, bytes: before.saturating_sub(left), left }))
    }

    async fn measure(&self, storage: &Storage) -> Result<u64, RegistryError> {
        let storage = storage.clone();
        look(move || storage.total()).await
    }

    /// Removes the images that were not used for so many days; how many there were.
    async fn remove_unused(&self, program: &Program, storage: &Storage, days: u32) -> Result<u64, RegistryError> {
        let looked = storage.clone();
        let there: HashSet<(String, Digest)> = look(move || looked.manifests()).await?.into_iter().collect();
        let rows = self.store.read(registry::all).await?;
        let known: HashSet<(String, Digest)> =
            rows.iter().filter_map(|row| Some((row.repository.clone(), row.digest.parse().ok()?))).collect();
        let missing: Vec<_> = known.difference(&there).cloned().collect();
        let found: Vec<_> = there.difference(&known).cloned().collect();
        let brought = self.store.write("registry.compared", Durability::Progress, move |tx| {
            found.iter().try_for_each(|(repository, digest)| registry::adopt(tx, repository, &digest.to_string()))?;
            missing.iter().try_for_each(|(repository, digest)| registry::remove(tx, repository, &digest.to_string()))
        });
        brought.await?;
        let now = self.store.clock().now();
        let old = self.store.read(move |view| registry::unused_since(view, before(now, days.min(SCOPED_DAYS)))).await?;
        let old = old.iter().filter(|row| is_old(row, now, days));
        let mut going: HashSet<(String, Digest)> =
            old.filter_map(|row| Some((row.repository.clone(), row.digest.parse().ok()?))).collect();
        going.retain(|image| there.contains(image));
        // An image of several platforms is used where one of them is; all of them stay with it.
        let staying = there.iter().filter(|image| !going.contains(image));
        let needed: HashSet<(String, Digest)> = staying.flat_map(|image| named_by(storage, image)).collect();
        let going: Vec<(String, String)> =
            going.difference(&needed).map(|(repository, digest)| (repository.clone(), digest.to_string())).collect();
        let told = going.clone();
        // Who is killed between the two finds them as old as before, and removes them then.
        let noted = self.store.write("registry.expire", Durability::Progress, move |tx| {
            told.iter().try_for_each(|(repository, digest)| registry::expire(tx, repository, digest))
        });
        noted.await?;
        for (repository, digest) in &going {
            upstream::delete(&program.socket(), repository, &format!("sha256:{digest}")).await?;
        }
        let count = going.len() as u64;
        let noted = self.store.write("registry.removed", Durability::Progress, move |tx| {
            going.iter().try_for_each(|(repository, digest)| registry::remove(tx, repository, digest))
        });
        noted.await?;
        Ok(count)
    }
}

fn before(now: Timestamp, days: u32) -> Timestamp {
    now - SignedDuration::from_hours(24 * i64::from(days))
}

/// Whether an image was not used for as long as its kind is kept.
fn is_old(row: &ImageRow, now: Timestamp, days: u32) -> bool {
    let kept = if is_cache_of_scope(&row.repository) { days.min(SCOPED_DAYS) } else { days };
    row.last_used_at < before(now, kept)
}

fn named_by(storage: &Storage, (repository, digest): &(String, Digest)) -> Vec<(String, Digest)> {
    let bytes = storage.manifest(digest).unwrap_or_default();
    manifest::children(&bytes).into_iter().map(|child| (repository.clone(), child)).collect()
}

async fn look<T: Send + 'static>(
    look: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, RegistryError> {
    let looked = tokio::task::spawn_blocking(look).await.map_err(|error| RegistryError::Collect(error.to_string()))?;
    looked.map_err(|error| RegistryError::Collect(format!("its storage could not be read: {error}")))
}

/// Removes the blobs that no manifest names. The program's own work, beside the one that serves: nobody pushes now.
async fn sweep(program: &Program) -> Result<(), RegistryError> {
    // It ends with the server, as the one that serves does.
    let mut command = Command::new(SETPRIV);
    command
        .args(["--pdeathsig", "SIGKILL", "--"])
        .arg(&program.path)
        .arg("garbage-collect")
        .arg(program.config())
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    command.current_dir(&program.dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    let failed = |why: String| RegistryError::Collect(why);
    let output = tokio::time::timeout(LONGEST, command.output()).await;
    let output = output.map_err(|_| failed("it took longer than an hour".to_owned()))?;
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(failed(format!(
        "{}: {}",
        output.status,
        last.chars().filter(|c| !c.is_control()).take(500).collect::<String>()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_one_branch_go_sooner_than_images() {
        let now: Timestamp = "2027-01-15T08:00:00Z".parse().unwrap();
        let old = |repository: &str, unused: u32, days: u32| {
            let at = before(now, unused);
            let row = ImageRow {
                repository: repository.to_owned(),
                digest: String::new(),
                media_type: String::new(),
                bytes: 0,
                pushed_at: at,
                last_used_at: at,
            };
            is_old(&row, now, days)
        };
        assert!(old("web/cache/0123456789ab", 8, 30) && !old("web/cache/0123456789ab", 7, 30));
        assert!(!old("web/cache", 8, 30) && !old("web/app", 8, 30) && old("web/app", 31, 30));
        assert!(old("web/cache/0123456789ab", 4, 3) && old("web/cache", 4, 3), "retention may be shorter");
    }
}
