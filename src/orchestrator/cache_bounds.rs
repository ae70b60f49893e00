//! Holds the content of caches within its bounds, the longest unused first, and removes what no row names.
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::error::chain;
use super::{DriveError, Engine};
use crate::model::PipelineId;
use crate::store::{CacheRow, Durability, caches};

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheBounds {
    /// Bytes of all together.
    pub bytes: u64,
    /// Bytes of one pipeline, and so the most of one cache.
    pub pipeline_bytes: u64,
}

impl Default for CacheBounds {
    fn default() -> Self {
        Self { bytes: 10 << 30, pipeline_bytes: 5 << 30 }
    }
}

/// Sweeps in a row that give way to jobs that store something; they come once a minute.
const GIVES_WAY: u32 = 15;

/// Between storing content and writing the row that names it, content is not swept.
#[derive(Debug, Default)]
pub struct CacheGate {
    gate: RwLock<()>,
    /// How often the sweep has given way since it last was alone.
    gave_way: AtomicU32,
}

impl CacheGate {
    /// Nothing is swept until this is dropped.
    pub(super) async fn store(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().await
    }

    /// Nobody stores anything until this is dropped. None: somebody does, which may take long, and waiting for the end
    /// of it would hold up all who come after; who was told so often enough waits all the same.
    async fn sweep(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        let alone = match self.gate.try_write() {
            Ok(alone) => alone,
            Err(_) if self.gave_way.fetch_add(1, Ordering::Relaxed) < GIVES_WAY => return None,
            Err(_) => self.gate.write().await,
        };
        self.gave_way.store(0, Ordering::Relaxed);
        Some(alone)
    }
}

impl Engine {
    /// Removes what is over the bounds; what can't be removed now is removed later.
    pub(super) async fn sweep_caches_logged(&self) {
        if let Err(error) = sweep_caches(self).await {
            tracing::warn!(error = chain(&error), "caches could not be looked through; it is tried again");
        }
    }
}

/// Removes the longest unused caches that are too much together, and all content that no row names; that comes later
/// where a job is storing something.
pub async fn sweep_caches(engine: &Engine) -> Result<(), DriveError> {
    let bounds = engine.bounds.caches;
    if !over(&engine.store.read(caches::by_use).await?, bounds).is_empty() {
        let going = engine.store.write("orchestrator.cache_evict", Durability::Progress, move |tx| {
            let going = over(&caches::by_use(tx)?, bounds);
            going.iter().try_for_each(|row| caches::forget(tx, row.id))?;
            Ok(going)
        });
        for row in going.await? {
            tracing::info!(cache = row.name, pipeline = %row.pipeline_id, bytes = row.bytes, "a cache made room for others");
        }
    }
    // While a job stores something, no row may name it yet.
    let Some(_alone) = engine.cache_gate.sweep().await else { return Ok(()) };
    let known: HashSet<String> = engine.store.read(caches::digests).await?.into_iter().collect();
    let failed = |source| DriveError::Executor { what: "look after caches", source };
    let blobs = engine.executor.cache_list().await.map_err(failed)?;
    let orphans: Vec<String> =
        blobs.into_iter().map(|blob| blob.digest).filter(|digest| !known.contains(digest)).collect();
    for some in orphans.chunks(1000) {
        engine.executor.cache_remove(some.to_vec()).await.map_err(failed)?;
    }
    Ok(())
}

/// Which rows are to go, given the longest unused first. Content that several rows name counts once.
fn over(rows: &[CacheRow], bounds: CacheBounds) -> Vec<CacheRow> {
    let mut going = Vec::new();
    let mut named: HashMap<&str, u32> = HashMap::new();
    let mut of_pipelines: HashMap<PipelineId, u64> = HashMap::new();
    let mut bytes = 0;
    for row in rows {
        let names = named.entry(&row.digest).or_default();
        bytes += if *names == 0 { row.bytes } else { 0 };
        *names += 1;
        *of_pipelines.entry(row.pipeline_id).or_default() += row.bytes;
    }
    for row in rows {
        let of_pipeline = of_pipelines.entry(row.pipeline_id).or_default();
        if bytes <= bounds.bytes && *of_pipeline <= bounds.pipeline_bytes {
            continue;
        }
        let names = named.entry(&row.digest).or_default();
        *names -= 1;
        bytes -= if *names == 0 { row.bytes } else { 0 };
        *of_pipeline -= row.bytes;
        going.push(row.clone());
    }
    going
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JobId;
    use crate::store::testing::start;

    fn row(id: i64, pipeline: u128, digest: &str, bytes: u64) -> CacheRow {
        CacheRow {
            id,
            pipeline_id: PipelineId::from_uuid(uuid::Uuid::from_u128(pipeline)),
            scope: "protected".to_owned(),
            name: "a".to_owned(),
            key: id.to_string(),
            digest: digest.to_owned(),
            bytes,
            job_id: JobId::from_uuid(uuid::Uuid::from_u128(1)),
            job_label: "a#1".to_owned(),
            created_at: start(),
            last_used_at: start(),
        }
    }

    fn going(rows: &[CacheRow], bytes: u64, pipeline_bytes: u64) -> Vec<i64> {
        over(rows, CacheBounds { bytes, pipeline_bytes }).into_iter().map(|row| row.id).collect()
    }

    #[tokio::test]
    async fn a_sweep_gives_way_to_who_stores_something_and_gets_its_turn_in_the_end() {
        let gate = CacheGate::default();
        let long = gate.store().await;
        for _ in 0..GIVES_WAY {
            assert!(gate.sweep().await.is_none());
            // Nobody waits for the long one behind the sweep.
            let next = tokio::time::timeout(std::time::Duration::from_secs(5), gate.store()).await;
            drop(next.unwrap());
        }
        let sweep = gate.sweep();
        tokio::pin!(sweep);
        assert!(futures::poll!(&mut sweep).is_pending());
        drop(long);
        assert!(sweep.await.is_some());
        let _long = gate.store().await;
        assert!(gate.sweep().await.is_none(), "it begins to give way again");
    }

    #[test]
    fn the_longest_unused_goes_first_and_only_as_much_as_is_needed() {
        let rows = [row(1, 1, "a", 10), row(2, 1, "b", 10), row(3, 2, "c", 10)];
        assert_eq!(going(&rows, 30, 30), [0_i64; 0]);
        assert_eq!(going(&rows, 29, 30), [1]);
        assert_eq!(going(&rows, 10, 30), [1, 2]);
        assert_eq!(going(&rows, 30, 10), [1], "one pipeline takes no room from the others");
    }

    #[test]
    fn content_with_two_names_takes_its_room_once() {
        let rows = [row(1, 1, "a", 10), row(2, 2, "a", 10), row(3, 3, "b", 10)];
        assert_eq!(going(&rows, 20, 100), [0_i64; 0]);
        assert_eq!(going(&rows, 19, 100), [1, 2], "a name less makes no room by itself");
    }
}
