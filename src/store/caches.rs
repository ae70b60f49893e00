//! caches: which content a pipeline has under which name. The bytes are the executor's, by digest.
use jiff::Timestamp;
use rusqlite::{named_params, params};

use super::sql::{int, micros, row};
use super::{StoreError, Tx, View};
use crate::model::cache::Scope;
use crate::model::{JobId, LeaseId, PipelineId};

row! {
    /// Stored content of a pipeline.
    pub struct CacheRow {
        /// Its place in the order of first storing.
        pub id: i64,
        /// Whose it is.
        pub pipeline_id: PipelineId,
        /// Which jobs may write it, as stored: `Scope::parse`.
        pub scope: String,
        /// Its name.
        pub name: String,
        /// What it depends on; empty: it is replaced whenever it changed.
        pub key: String,
        /// The digest of the stored bytes.
        pub digest: String,
        /// Their number.
        pub bytes: u64,
        /// The job that stored it.
        pub job_id: JobId,
        /// The same for people.
        pub job_label: String,
        /// When it was stored.
        pub created_at: Timestamp,
        /// When a job took it last.
        pub last_used_at: Timestamp,
    }
}

impl CacheRow {
    /// Which jobs may write it.
    pub fn of(&self) -> Option<Scope> {
        Scope::parse(&self.scope)
    }
}

/// What is asked for, or stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheName {
    /// The pipeline.
    pub pipeline: PipelineId,
    /// Which jobs may write it.
    pub scope: Scope,
    /// Its name.
    pub name: String,
    /// Its key; empty: none.
    pub key: String,
    /// JSON of its paths.
    pub paths: String,
}

/// Content that the executor has stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewContent {
    /// Its digest.
    pub digest: String,
    /// Its size.
    pub bytes: u64,
}

/// The content under exactly this name.
pub fn find(view: &View<'_>, name: &CacheName) -> Result<Option<CacheRow>, StoreError> {
    view.first(
        "look for a cache",
        "SELECT * FROM caches WHERE pipeline_id = ?1 AND scope = ?2 AND name = ?3 AND key = ?4 AND paths = ?5",
        params![name.pipeline, name.scope.stored(), name.name, name.key, name.paths],
    )
}

/// Notes that a job took it.
pub fn touch(tx: &Tx<'_>, id: i64) -> Result<(), StoreError> {
    tx.run(
        "note the use of a cache",
        "UPDATE caches SET last_used_at = ?2 WHERE id = ?1",
        params![id, micros(tx.now())],
    )?;
    Ok(())
}

/// Stores content under a name for a running job. False: with a key there is other content of the same paths already,
/// which stays.
pub fn store(
    tx: &Tx<'_>,
    lease: LeaseId,
    (job, label): (JobId, &str),
    name: &CacheName,
    content: &NewContent,
) -> Result<bool, StoreError> {
    if !name.key.is_empty()
        && let Some(known) = find(tx, name)?
        && known.digest != content.digest
    {
        return Ok(false);
    }
    let rows = tx.run(
        "store a cache",
        "INSERT INTO caches (pipeline_id, scope, name, key, paths, digest, bytes, job_id, job_label, created_at,
            last_used_at)
         SELECT pipelines.id, :scope, :name, :key, :paths, :digest, :bytes, :job, :label, :now, :now
         FROM pipelines JOIN jobs ON jobs.pipeline_id = pipelines.id
         WHERE pipelines.id = :pipeline AND jobs.id = :job AND jobs.lease_id = :lease AND jobs.status = 'running'
         ON CONFLICT (pipeline_id, scope, name, key) DO UPDATE SET paths = excluded.paths, digest = excluded.digest,
            bytes = excluded.bytes, job_id = excluded.job_id, job_label = excluded.job_label,
            created_at = excluded.created_at, last_used_at = excluded.last_used_at",
        named_params! {
            ":pipeline": name.pipeline,
            ":scope": name.scope.stored(),
            ":name": name.name,
            ":key": name.key,
            ":paths": name.paths,
            ":digest": content.digest,
            ":bytes": int(content.bytes),
            ":job": job,
            ":label": label,
            ":lease": lease,
            ":now": micros(tx.now()),
        },
    )?;
    if rows == 1 { Ok(true) } else { Err(StoreError::not_found(format!("running job {job} under lease {lease}"))) }
}

/// Every cache, the longest unused first.
pub fn by_use(view: &View<'_>) -> Result<Vec<CacheRow>, StoreError> {
    view.all("read the caches", "SELECT * FROM caches ORDER BY last_used_at, id", [])
}

/// The digests that rows name.
pub fn digests(view: &View<'_>) -> Result<Vec<String>, StoreError> {
    view.values("read the content of caches", "SELECT DISTINCT digest FROM caches", [])
}

/// A pipeline's caches, by name.
pub fn of_pipeline(view: &View<'_>, pipeline: PipelineId) -> Result<Vec<CacheRow>, StoreError> {
    view.all(
        "read the caches of a pipeline",
        "SELECT * FROM caches WHERE pipeline_id = ?1 ORDER BY name, scope <> 'protected', scope, last_used_at DESC, id",
        [pipeline],
    )
}

/// Forgets content that is not to be had any more.
pub fn forget_digest(tx: &Tx<'_>, digest: &str) -> Result<(), StoreError> {
    tx.run("forget a lost cache", "DELETE FROM caches WHERE digest = ?1", [digest])?;
    Ok(())
}

/// Forgets a cache.
pub fn forget(tx: &Tx<'_>, id: i64) -> Result<(), StoreError> {
    tx.run("forget a cache", "DELETE FROM caches WHERE id = ?1", [id])?;
    Ok(())
}

/// Forgets a pipeline's caches: all, or those of a name, or those of a name and key. Gives how many.
pub fn delete(tx: &Tx<'_>, pipeline: PipelineId, name: Option<&str>, key: Option<&str>) -> Result<u64, StoreError> {
    let rows = tx.run(
        "delete caches of a pipeline",
        "DELETE FROM caches WHERE pipeline_id = ?1 AND name = COALESCE(?2, name) AND key = COALESCE(?3, key)",
        params![pipeline, name, key],
    )?;
    Ok(rows as u64)
}
