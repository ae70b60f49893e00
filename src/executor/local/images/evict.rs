//! Layers that no job needs any more.
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::{NEXT, Record, record};
use crate::executor::local::Local;
use crate::executor::local::job::{io_error, remove_tree};
use crate::executor::{ExecutorError, KeepLayers, StoredLayer};
use crate::platform::{Clock as _, SystemClock, fault};

impl Local {
    /// The layers that are here, the one that was used last at the end.
    pub fn layers(&self) -> Result<Vec<StoredLayer>, ExecutorError> {
        let held = self.all_held();
        let mut layers: Vec<StoredLayer> = self
            .places()?
            .into_iter()
            .filter_map(|place| {
                let record = Record::read(&place)?;
                let in_use = held.contains(&record.digest);
                Some(StoredLayer {
                    digest: record.digest,
                    bytes: record.bytes,
                    used_at: record::used_at(&place),
                    in_use,
                })
            })
            .collect();
        layers.sort_by(|a, b| (a.used_at, &a.digest).cmp(&(b.used_at, &b.digest)));
        Ok(layers)
    }

    /// Removes layers that no job needs until the rest is within bounds, the ones that were used longest ago first;
    /// gives those that went.
    pub fn evict_layers(&self, keep: KeepLayers) -> Result<Vec<StoredLayer>, ExecutorError> {
        let mut gone = Vec::new();
        let mut halves = Vec::new();
        {
            // Nobody may note that he needs one between the look and the rename.
            let _alone = self.guards.choosing.write().unwrap_or_else(PoisonError::into_inner);
            let layers = self.layers()?;
            let mut bytes: u64 = layers.iter().map(|layer| layer.bytes).sum();
            let now = SystemClock.now().as_second();
            for layer in layers.into_iter().filter(|layer| !layer.in_use) {
                let age = u64::try_from(now - layer.used_at).unwrap_or(0);
                if bytes <= keep.bytes && age <= keep.seconds {
                    continue;
                }
                let name = format!("gone-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
                let half = self.half_layers().join(name);
                let place = self.layer_dir(&layer.digest)?;
                fault::around("executor.evict", || fs::rename(place, &half))
                    .map_err(|e| io_error("remove a layer", &e))?;
                bytes = bytes.saturating_sub(layer.bytes);
                halves.push(half);
                gone.push(layer);
            }
        }
        for half in halves {
            remove_tree(&half).map_err(|e| io_error("remove a layer", &e))?;
        }
        Ok(gone)
    }

    /// What an executor that died left half done, and layers that the machine's end may have torn.
    pub(in crate::executor::local) fn remove_half_layers(&self) {
        let halves = fs::read_dir(self.half_layers()).into_iter().flatten().flatten().map(|entry| entry.path());
        let torn = self.places().unwrap_or_default().into_iter().filter(|place| !Record::is_whole(place));
        for path in halves.chain(torn) {
            match remove_tree(&path) {
                Ok(()) => tracing::info!(path = %path.display(), "removed half a layer of an image"),
                Err(error) => tracing::warn!(path = %path.display(), %error, "half a layer can't be removed"),
            }
        }
    }

    fn places(&self) -> Result<Vec<PathBuf>, ExecutorError> {
        let entries = fs::read_dir(self.whole_layers()).map_err(|e| io_error("list the layers of images", &e))?;
        Ok(entries.flatten().map(|entry| entry.path()).collect())
    }

    /// The layers that any job here needs.
    fn all_held(&self) -> BTreeSet<String> {
        let jobs = self.list().unwrap_or_default();
        jobs.into_iter().flat_map(|job| self.held_by(job)).collect()
    }
}
