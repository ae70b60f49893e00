//! One commit as a pack: what a shallow checkout needs and nothing else.
use std::io::Write;
use std::path::Path;

use super::scratch::{Sealed, nameless, seal};
use super::{MirrorError, Objects};

impl Objects {
    /// A pack of exactly this commit with its trees and files, at most `limit` bytes, in a nameless file that was
    /// made in `dir`.
    pub async fn pack(&self, commit: &str, dir: &Path, limit: u64) -> Result<Sealed, MirrorError> {
        let (commit, dir) = (commit.to_owned(), dir.to_owned());
        self.read(move |this, repo| {
            let id = this.commit(repo, &commit)?.id();
            let failed = || MirrorError::git(format!("packing the commit {commit}"));
            let mut builder = repo.packbuilder().map_err(failed())?;
            builder.set_threads(1);
            builder.insert_commit(id).map_err(failed())?;
            let writing = || format!("writing a pack in {}", dir.display());
            let mut out = std::io::BufWriter::new(nameless(&dir).map_err(MirrorError::local(writing()))?);
            let (mut written, mut broken) = (0u64, None);
            let packed = builder.foreach(|chunk| {
                written += chunk.len() as u64;
                if written > limit {
                    return false;
                }
                broken = out.write_all(chunk).err();
                broken.is_none()
            });
            if written > limit {
                return Err(MirrorError::TooLarge { what: format!("the checkout of {commit}, packed,"), limit });
            }
            if let Some(e) = broken {
                return Err(MirrorError::local(writing())(e));
            }
            packed.map_err(failed())?;
            let file = out.into_inner().map_err(|e| MirrorError::local(writing())(e.into_error()))?;
            seal(file).map_err(MirrorError::local(writing()))
        })
        .await
    }
}
