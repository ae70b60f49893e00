//! registry_images, pushed_images and protected_tags: what jobs pushed to the registry beside the server.
use jiff::Timestamp;
use rusqlite::{named_params, params};

use super::sql::{int, micros, row};
use super::{StoreError, Tx, View};
use crate::model::{JobId, LeaseId, PipelineId};

row! {
    /// An image that a job pushed.
    pub struct PushedRow {
        /// The job.
        pub job_id: JobId,
        /// The repository, `<pipeline>/…`.
        pub repository: String,
        /// Its tag; empty where it was pushed by digest alone.
        pub tag: String,
        /// Lower-case hex of its manifest's SHA-256, taken by the server.
        pub digest: String,
        /// Bytes of its layers and configuration.
        pub bytes: u64,
        /// When.
        pub pushed_at: Timestamp,
        /// When it was removed from the registry.
        pub expired_at: Option<Timestamp>,
    }
}

row! {
    /// An image in the registry.
    pub struct ImageRow {
        /// Its repository.
        pub repository: String,
        /// Lower-case hex of its manifest's SHA-256.
        pub digest: String,
        /// The media type of its manifest.
        pub media_type: String,
        /// Bytes of its layers and configuration.
        pub bytes: u64,
        /// When it was pushed last.
        pub pushed_at: Timestamp,
        /// When it was pushed or pulled last.
        pub last_used_at: Timestamp,
    }
}

/// What is recorded of a push.
#[derive(Debug, Clone)]
pub struct NewPush {
    /// The job that pushed.
    pub job_id: JobId,
    /// The repository.
    pub repository: String,
    /// The tag; empty: none.
    pub tag: String,
    /// Lower-case hex of the manifest's SHA-256.
    pub digest: String,
    /// The media type of the manifest.
    pub media_type: String,
    /// Bytes of layers and configuration.
    pub bytes: u64,
    /// Only jobs of protected branches may let the tag name another image from now on.
    pub protected: bool,
}

/// Records a pushed manifest, for the job and for the registry. The same again changes nothing but the times.
pub fn pushed(tx: &Tx<'_>, lease: LeaseId, new: &NewPush) -> Result<(), StoreError> {
    let what = "record a pushed image";
    let now = micros(tx.now());
    let rows = tx.run(
        what,
        "INSERT INTO pushed_images (job_id, repository, tag, digest, bytes, pushed_at)
         SELECT id, :repository, :tag, :digest, :bytes, :now FROM jobs
         WHERE id = :job AND lease_id = :lease AND status = 'running'
         ON CONFLICT (job_id, repository, tag, digest) DO UPDATE SET pushed_at = excluded.pushed_at, expired_at = NULL",
        named_params! {
            ":job": new.job_id,
            ":lease": lease,
            ":repository": new.repository,
            ":tag": new.tag,
            ":digest": new.digest,
            ":bytes": int(new.bytes),
            ":now": now,
        },
    )?;
    if rows == 0 {
        return Err(StoreError::not_found(format!("running job {} under lease {lease}", new.job_id)));
    }
    tx.run(
        what,
        "INSERT INTO registry_images (repository, digest, media_type, bytes, pushed_at, last_used_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)
         ON CONFLICT (repository, digest) DO UPDATE SET pushed_at = excluded.pushed_at, last_used_at = excluded.pushed_at",
        params![new.repository, new.digest, new.media_type, int(new.bytes), now],
    )?;
    if new.protected && !new.tag.is_empty() {
        tx.run(
            what,
            "INSERT INTO protected_tags (repository, tag, digest, pushed_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (repository, tag) DO UPDATE SET digest = excluded.digest, pushed_at = excluded.pushed_at",
            params![new.repository, new.tag, new.digest, now],
        )?;
    }
    Ok(())
}

/// The digest of the image that a job of a protected branch let a tag name; none: anybody of the pipeline may move it.
pub fn guarded(view: &View<'_>, repository: &str, tag: &str) -> Result<Option<String>, StoreError> {
    view.value(
        "see who may move a tag",
        "SELECT digest FROM protected_tags WHERE repository = ?1 AND tag = ?2",
        params![repository, tag],
    )
}

/// Notes that an image was used.
pub fn touch(tx: &Tx<'_>, repository: &str, digest: &str) -> Result<(), StoreError> {
    tx.run(
        "note that an image was used",
        "UPDATE registry_images SET last_used_at = MAX(last_used_at, ?3) WHERE repository = ?1 AND digest = ?2",
        params![repository, digest, micros(tx.now())],
    )?;
    Ok(())
}

/// Every image that a job pushed, by repository and time.
pub fn of_job(view: &View<'_>, job: JobId) -> Result<Vec<PushedRow>, StoreError> {
    view.all(
        "read the images of a job",
        "SELECT * FROM pushed_images WHERE job_id = ?1 ORDER BY repository, pushed_at, tag, digest",
        [job],
    )
}

/// The images in the registry that were used last before a moment, longest unused first.
pub fn unused_since(view: &View<'_>, before: Timestamp) -> Result<Vec<ImageRow>, StoreError> {
    view.all(
        "read the old images",
        "SELECT * FROM registry_images WHERE last_used_at < ?1 ORDER BY last_used_at, repository, digest",
        [micros(before)],
    )
}

/// Every image in the registry, by name.
pub fn all(view: &View<'_>) -> Result<Vec<ImageRow>, StoreError> {
    view.all("read the images", "SELECT * FROM registry_images ORDER BY repository, digest", [])
}

/// Takes an image into the list that is in the registry and not in the rows: used now, as far as is known.
pub fn adopt(tx: &Tx<'_>, repository: &str, digest: &str) -> Result<(), StoreError> {
    tx.run(
        "note an image that was found",
        "INSERT INTO registry_images (repository, digest, media_type, bytes, pushed_at, last_used_at)
         VALUES (?1, ?2, '', 0, ?3, ?3) ON CONFLICT DO NOTHING",
        params![repository, digest, micros(tx.now())],
    )?;
    Ok(())
}

/// Notes that an image is to go. Call before it is removed: a row never promises what is gone.
pub fn expire(tx: &Tx<'_>, repository: &str, digest: &str) -> Result<(), StoreError> {
    tx.run(
        "note that an image goes",
        "UPDATE pushed_images SET expired_at = ?3 WHERE repository = ?1 AND digest = ?2 AND expired_at IS NULL",
        params![repository, digest, micros(tx.now())],
    )?;
    Ok(())
}

/// Forgets an image that is gone.
pub fn remove(tx: &Tx<'_>, repository: &str, digest: &str) -> Result<(), StoreError> {
    expire(tx, repository, digest)?;
    tx.run(
        "forget an image that is gone",
        "DELETE FROM registry_images WHERE repository = ?1 AND digest = ?2",
        params![repository, digest],
    )?;
    tx.run(
        "forget the tags of an image that is gone",
        "DELETE FROM protected_tags WHERE repository = ?1 AND digest = ?2",
        params![repository, digest],
    )?;
    Ok(())
}

/// Forgets what a lost attempt pushed: the next one says itself what is its own.
pub(crate) fn delete_of_job(tx: &Tx<'_>, job: JobId) -> Result<(), StoreError> {
    tx.run("forget the images of a lost attempt", "DELETE FROM pushed_images WHERE job_id = ?1", [job])?;
    Ok(())
}

/// Whether a pipeline may read the images of the pipeline of that name: it is its own, or its team may read that one.
pub fn may_read(view: &View<'_>, pipeline: PipelineId, owner: &str) -> Result<bool, StoreError> {
    let one: Option<i64> = view.value(
        "see whose images a pipeline may read",
        "SELECT 1 FROM pipelines AS reader JOIN pipelines AS owner ON owner.name = ?2
         WHERE reader.id = ?1 AND (owner.id = reader.id OR EXISTS (
            SELECT 1 FROM pipeline_permissions AS p WHERE p.pipeline_id = owner.id AND p.team_id = reader.team_id))
         LIMIT 1",
        params![pipeline, owner],
    )?;
    Ok(one.is_some())
}
