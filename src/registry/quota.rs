//! How much each pipeline may keep in the registry, counted while it streams.
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::storage::Storage;

/// What a pipeline keeps, as far as it was counted; bytes that stream in are added at once.
#[derive(Debug, Default)]
pub(super) struct Used {
    bytes: AtomicU64,
    /// What is on disk may be less: uploads were given up, or had been there before.
    stale: AtomicBool,
}

/// All pipelines.
#[derive(Debug)]
pub(super) struct Quota {
    limit: u64,
    used: Mutex<HashMap<String, Arc<Used>>>,
}

impl Quota {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, used: Mutex::default() }
    }

    /// What a pipeline uses. Looks at the disk where that is not known. Blocks.
    pub(super) fn of(&self, storage: &Storage, pipeline: &str) -> io::Result<Arc<Used>> {
        let known = self.used.lock().unwrap_or_else(PoisonError::into_inner).get(pipeline).cloned();
        if let Some(known) = known.filter(|known| !known.stale.load(Ordering::Relaxed)) {
            return Ok(known);
        }
        let bytes = storage.used(pipeline)?;
        let fresh = Arc::new(Used { bytes: AtomicU64::new(bytes), stale: AtomicBool::new(false) });
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(pipeline.to_owned(), Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Forgets what was counted: garbage was collected.
    pub(super) fn forget(&self) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Takes room for bytes that come in. False: there is none, and nothing was taken.
    pub(super) fn take(&self, used: &Used, bytes: u64) -> bool {
        let more = |now: u64| now.checked_add(bytes).filter(|sum| *sum <= self.limit);
        used.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Whether so many bytes would fit.
    pub(super) fn fits(&self, used: &Used, bytes: u64) -> bool {
        used.bytes.load(Ordering::Relaxed).checked_add(bytes).is_some_and(|sum| sum <= self.limit)
    }

    /// The sentence for who has no room.
    pub(super) fn refusal(&self, pipeline: &str) -> String {
        format!(
            "danube: the pipeline '{pipeline}' may keep {} in the registry and has no room for more: old images go after \
             retention.registry_images_days, and who runs the server can raise `quota` in [registry] of danube.toml",
            shown(self.limit)
        )
    }
}

impl Used {
    /// The next look is at the disk again.
    pub(super) fn look_again(&self) {
        self.stale.store(true, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Bytes for people.
pub(super) fn shown(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    let text = format!("{value:.1}");
    format!("{} {}", text.strip_suffix(".0").unwrap_or(&text), units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_until_there_is_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::new(dir.path());
        let quota = Quota::new(10);
        let used = quota.of(&storage, "web").unwrap();
        assert!(quota.take(&used, 6) && quota.fits(&used, 4) && !quota.fits(&used, 5) && !quota.take(&used, 5));
        assert_eq!(quota.of(&storage, "web").unwrap().bytes(), 6);
        used.look_again();
        assert_eq!(quota.of(&storage, "web").unwrap().bytes(), 0);
        assert!(quota.refusal("web").contains("10 B"));
        assert!(!quota.take(&used, u64::MAX));
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!([shown(0), shown(1536), shown(20 << 30)], ["0 B", "1.5 KiB", "20 GiB"]);
    }
}
