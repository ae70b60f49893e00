//! How much each pipeline may keep in the registry, counted while it streams.
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::storage::Storage;

/// Bytes of one request that the registry may have taken and not yet written.
const AHEAD: u64 = 16 << 20;
/// Looks in a row, where an upload ends during one: what moves meanwhile may be missed.
const LOOKS: u32 = 3;

/// What a pipeline keeps, as far as it was counted; bytes that stream in are added at once. There is one of these for
/// each pipeline as long as anybody counts on it: two would each let the whole quota in.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// One looks at a time.
    look: Mutex<()>,
    count: Mutex<Count>,
}

#[derive(Debug)]
struct Count {
    bytes: u64,
    /// What is on disk may be less: uploads were given up, or had been there before.
    stale: bool,
    /// Looks at the disk that began and that ended: odd while there is one.
    looks: u64,
    /// What came in since the last one began.
    since: u64,
    /// What each request that is under way has brought.
    under_way: HashMap<u64, u64>,
    next: u64,
}

impl Default for Count {
    fn default() -> Self {
        Self { bytes: 0, stale: true, looks: 0, since: 0, under_way: HashMap::new(), next: 0 }
    }
}

/// A request that brings bytes; counted as under way until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    used: Arc<Used>,
    number: u64,
    /// The looks when it began.
    looks: u64,
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
        let used = Arc::clone(self.all().entry(pipeline.to_owned()).or_default());
        used.refresh(|| storage.used(pipeline))?;
        Ok(used)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Used>>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the disk again for everybody: garbage was collected.
    pub(super) fn forget(&self) {
        let mut all = self.all();
        all.retain(|_, used| Arc::strong_count(used) > 1);
        all.values().for_each(|used| used.look_again());
    }

    /// Takes room for bytes that come in. False: there is none, and nothing was taken.
    pub(super) fn take(&self, of: &UnderWay, bytes: u64) -> bool {
        let mut count = of.used.count();
        let Some(sum) = count.bytes.checked_add(bytes).filter(|sum| *sum <= self.limit) else { return false };
        count.bytes = sum;
        count.since = count.since.saturating_add(bytes);
        *count.under_way.entry(of.number).or_default() += bytes;
        true
    }

    /// Whether so many bytes would fit.
    pub(super) fn fits(&self, used: &Used, bytes: u64) -> bool {
        used.count().bytes.checked_add(bytes).is_some_and(|sum| sum <= self.limit)
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
    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next look is at the disk again.
    pub(super) fn look_again(&self) {
        self.count().stale = true;
    }

    /// A request begins to bring bytes.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        let mut count = self.count();
        let number = count.next;
        count.next += 1;
        count.under_way.insert(number, 0);
        UnderWay { used: Arc::clone(self), number, looks: count.looks }
    }

    /// Brings the count up to what is on disk, where it may be another.
    fn refresh(&self, mut look: impl FnMut() -> io::Result<u64>) -> io::Result<()> {
        let _one = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..LOOKS {
            let ahead: u64 = {
                let mut count = self.count();
                if !count.stale {
                    return Ok(());
                }
                (count.stale, count.since) = (false, 0);
                count.looks += 1;
                count.under_way.values().map(|bytes| (*bytes).min(AHEAD)).sum()
            };
            let looked = look();
            let mut count = self.count();
            count.looks += 1;
            match looked {
                // What is on its way may be on disk in part; a sum that is too large is put right when it has arrived.
                Ok(bytes) => count.bytes = bytes.saturating_add(ahead).saturating_add(count.since),
                Err(error) => {
                    count.stale = true;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.count().bytes
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut count = self.used.count();
        count.under_way.remove(&self.number);
        // Somebody looked meanwhile, and may have counted it twice or not at all.
        count.stale |= count.looks != self.looks || count.looks % 2 == 1;
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
        let way = used.begin();
        assert!(quota.take(&way, 6) && quota.fits(&used, 4) && !quota.fits(&used, 5) && !quota.take(&way, 5));
        drop(way);
        assert_eq!(quota.of(&storage, "web").unwrap().bytes(), 6);
        used.look_again();
        assert_eq!(quota.of(&storage, "web").unwrap().bytes(), 0);
        assert!(quota.refusal("web").contains("10 B"));
        assert!(!quota.take(&used.begin(), u64::MAX));
    }

    #[test]
    fn a_look_at_the_disk_gives_nobody_the_room_of_uploads_that_are_under_way() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::new(dir.path());
        let quota = Quota::new(10);
        let used = quota.of(&storage, "web").unwrap();
        let first = used.begin();
        assert!(quota.take(&first, 6));
        // Another push ends: what is on disk counts again, and the first upload goes on.
        used.look_again();
        let again = quota.of(&storage, "web").unwrap();
        let second = again.begin();
        assert!(!quota.take(&second, 5), "both streams count on one number");
        assert!(quota.take(&second, 2) && quota.take(&first, 2) && !quota.take(&first, 1));
        quota.forget();
        assert!(!quota.take(&quota.of(&storage, "web").unwrap().begin(), 1), "garbage that went is no room of theirs");
        drop((first, second));
        assert_eq!(quota.of(&storage, "web").unwrap().bytes(), 0, "what came to nothing takes no room afterwards");
    }

    #[test]
    fn what_comes_in_while_somebody_looks_is_counted_and_what_ends_meanwhile_is_looked_for_again() {
        let used = Arc::new(Used::default());
        let quota = Quota::new(100);
        let mut looks = 0;
        used.refresh(|| {
            looks += 1;
            if looks == 1 {
                assert!(quota.take(&used.begin(), 7));
                return Ok(0);
            }
            Ok(7)
        })
        .unwrap();
        assert_eq!((looks, used.bytes()), (2, 7));
        let way = used.begin();
        used.look_again();
        used.refresh(|| Ok(if quota.take(&way, 3) { 7 } else { 0 })).unwrap();
        assert_eq!(used.bytes(), 10);
        drop(way);
        used.refresh(|| Ok(9)).unwrap();
        assert_eq!(used.bytes(), 9, "it had been there before");
        used.look_again();
        assert!(used.refresh(|| Err(io::Error::other("x"))).is_err());
        used.refresh(|| Ok(1)).unwrap();
        assert_eq!(used.bytes(), 1);
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!([shown(0), shown(1536), shown(20 << 30)], ["0 B", "1.5 KiB", "20 GiB"]);
    }
}
