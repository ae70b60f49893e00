//! What the registry keeps on disk, read where it lies: the truth that no row can lag behind.
//!
//! The layout is the distribution project's, the same since its second version: `repositories/<name>/_layers`,
//! `_manifests/revisions`, `_uploads`, and every blob once below `blobs/sha256`.
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::artifacts::Digest;

/// A manifest is small; what is larger is none.
const MANIFEST: u64 = 4 << 20;

/// The storage of one registry.
#[derive(Debug, Clone)]
pub(super) struct Storage(PathBuf);

impl Storage {
    /// The storage below the program's root directory.
    pub(super) fn new(root: &Path) -> Self {
        Self(root.join("docker/registry/v2"))
    }

    fn repositories(&self) -> PathBuf {
        self.0.join("repositories")
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.to_string();
        self.0.join("blobs/sha256").join(&hex[..2]).join(&hex).join("data")
    }

    /// Bytes of what a pipeline has pushed, each blob once, with what is under way.
    pub(super) fn used(&self, pipeline: &str) -> io::Result<u64> {
        let mut blobs = HashSet::new();
        let mut bytes = 0;
        walk(&self.repositories().join(pipeline), &mut |dir, name| {
            match name {
                "_layers" => blobs.extend(digests(&dir.join("sha256"))?),
                "_manifests" => blobs.extend(digests(&dir.join("revisions/sha256"))?),
                "_uploads" => {
                    for upload in entries(dir)? {
                        bytes += size(&upload.path().join("data"));
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        // Links stay where the blob went.
        Ok(blobs.iter().fold(bytes, |bytes, digest| bytes + size(&self.blob(digest))))
    }

    /// Bytes of all blobs.
    pub(super) fn total(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for shard in entries(&self.0.join("blobs/sha256"))? {
            for blob in entries(&shard.path())? {
                bytes += size(&blob.path().join("data"));
            }
        }
        Ok(bytes)
    }

    /// Every manifest of every repository.
    pub(super) fn manifests(&self) -> io::Result<Vec<(String, Digest)>> {
        let root = self.repositories();
        let mut found = Vec::new();
        walk(&root, &mut |dir, name| {
            let repository = dir.parent().and_then(|dir| dir.strip_prefix(&root).ok()).and_then(Path::to_str);
            if let ("_manifests", Some(repository)) = (name, repository) {
                for digest in digests(&dir.join("revisions/sha256"))? {
                    // A removed revision keeps its directory and loses its link.
                    if dir.join("revisions/sha256").join(digest.to_string()).join("link").exists() {
                        found.push((repository.to_owned(), digest));
                    }
                }
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The bytes of a manifest; none where it is gone or none.
    pub(super) fn manifest(&self, digest: &Digest) -> Option<Vec<u8>> {
        let path = self.blob(digest);
        fs::metadata(&path).ok().filter(|meta| meta.len() <= MANIFEST)?;
        fs::read(path).ok()
    }
}

/// Visits every directory whose name begins with `_` below the repositories; these hold no repositories.
fn walk(dir: &Path, visit: &mut impl FnMut(&Path, &str) -> io::Result<()>) -> io::Result<()> {
    for entry in entries(dir)? {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let path = entry.path();
        match name.starts_with('_') {
            true => visit(&path, name)?,
            false if path.is_dir() => walk(&path, visit)?,
            false => {}
        }
    }
    Ok(())
}

/// The entries of a directory; none where it is not there.
fn entries(dir: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn digests(dir: &Path) -> io::Result<Vec<Digest>> {
    Ok(entries(dir)?.iter().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// What is gone in the middle of a look has no size.
fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(storage: &Storage, repository: &str, bytes: &[u8], kind: &str) -> Digest {
        let digest = Digest::of(bytes);
        let blob = storage.blob(&digest);
        fs::create_dir_all(blob.parent().unwrap()).unwrap();
        fs::write(&blob, bytes).unwrap();
        let link = storage.repositories().join(repository).join(kind).join("sha256").join(digest.to_string());
        fs::create_dir_all(&link).unwrap();
        fs::write(link.join("link"), format!("sha256:{digest}")).unwrap();
        digest
    }

    #[test]
    fn a_pipeline_pays_once_for_a_blob_and_for_what_is_under_way() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::new(dir.path());
        assert_eq!((storage.used("web").unwrap(), storage.total().unwrap()), (0, 0));
        put(&storage, "web/app", b"0123456789", "_layers");
        put(&storage, "web/deep/er", b"0123456789", "_layers");
        let manifest = put(&storage, "web/app", b"{}", "_manifests/revisions");
        put(&storage, "website/app", b"other", "_layers");
        let upload = storage.repositories().join("web/app/_uploads/1");
        fs::create_dir_all(&upload).unwrap();
        fs::write(upload.join("data"), b"123").unwrap();
        assert_eq!(storage.used("web").unwrap(), 15);
        assert_eq!(storage.total().unwrap(), 17);
        assert_eq!(storage.manifests().unwrap(), [("web/app".to_owned(), manifest)]);
        assert_eq!(storage.manifest(&manifest).unwrap(), b"{}");
        // A link to a blob that was collected costs nothing.
        fs::remove_file(storage.blob(&Digest::of(b"0123456789"))).unwrap();
        assert_eq!(storage.used("web").unwrap(), 5);
    }
}
