//! Questions about many files at once: has anything changed, and what do they hash to.
use git2::{DiffOptions, ObjectType, Repository, Tree};
use globset::GlobSet;
use sha2::{Digest as _, Sha256};

use super::globs::compile;
use super::{MirrorError, Objects};

/// Deeper than any tree that people make.
const MAX_DEPTH: usize = 256;

/// How the matching files of two commits compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// None differs.
    Same,
    /// One differs; it may not be the only one.
    Differs {
        /// Its path: the new one, where it was moved.
        path: String,
    },
    /// There is no base, or it is not here (its branch was moved by force).
    NoBase,
}

impl Objects {
    /// Whether a file that matches one of the globs differs between two commits. Without a base, or with one that
    /// is not here (its branch was moved by force), everything counts as changed.
    pub async fn changed(&self, base: Option<&str>, head: &str, globs: &[String]) -> Result<bool, MirrorError> {
        let (base, head, globs) = (base.map(str::to_owned), head.to_owned(), globs.to_vec());
        self.read(move |this, repo| this.changed_in(repo, base.as_deref(), &head, &globs)).await
    }

    /// What `changed` goes by, with a file that differs.
    pub async fn compare(&self, base: Option<&str>, head: &str, globs: &[String]) -> Result<Comparison, MirrorError> {
        let (base, head, globs) = (base.map(str::to_owned), head.to_owned(), globs.to_vec());
        self.read(move |this, repo| this.compare_in(repo, base.as_deref(), &head, &globs)).await
    }

    /// `changed` on a thread that may block, with a repository that is open.
    pub fn changed_in(
        &self,
        repo: &Repository,
        base: Option<&str>,
        head: &str,
        globs: &[String],
    ) -> Result<bool, MirrorError> {
        Ok(self.compare_in(repo, base, head, globs)? != Comparison::Same)
    }

    fn compare_in(
        &self,
        repo: &Repository,
        base: Option<&str>,
        head: &str,
        globs: &[String],
    ) -> Result<Comparison, MirrorError> {
        let globs = compile(globs)?;
        let head = self.commit(repo, head)?;
        let Some(base) = base.and_then(|id| self.commit(repo, id).ok()) else {
            return Ok(Comparison::NoBase);
        };
        let failed = || MirrorError::git("comparing two commits");
        let (old, new) = (base.tree().map_err(failed())?, head.tree().map_err(failed())?);
        let mut options = DiffOptions::new();
        options.include_typechange(true).ignore_submodules(false).skip_binary_check(true);
        let diff = repo.diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options)).map_err(failed())?;
        // Both sides: a file that was moved away is gone from its old place.
        let matching = diff.deltas().find_map(|delta| {
            let paths = [delta.new_file().path(), delta.old_file().path()];
            paths.into_iter().flatten().find(|path| globs.is_match(path)).map(|path| path.display().to_string())
        });
        Ok(matching.map_or(Comparison::Same, |path| Comparison::Differs { path }))
    }

    /// A hash over path, mode and content of every file that matches one of the globs; the same files give the
    /// same hash at any commit.
    pub async fn hash(&self, commit: &str, globs: &[String]) -> Result<String, MirrorError> {
        let (commit, globs) = (commit.to_owned(), globs.to_vec());
        self.read(move |this, repo| {
            let globs = compile(&globs)?;
            let tree = this.commit(repo, &commit)?.tree().map_err(MirrorError::git("reading a tree"))?;
            let mut files = Vec::new();
            collect(repo, &tree, &mut Vec::new(), 0, &globs, &mut files)?;
            files.sort_unstable();
            let mut hash = Sha256::new();
            for (path, mode, id) in files {
                // Lengths and fixed widths keep two lists of files from running into one text.
                hash.update((path.len() as u64).to_be_bytes());
                hash.update(&path);
                hash.update(mode.to_be_bytes());
                hash.update(id.as_bytes());
            }
            Ok(hex::encode(hash.finalize()))
        })
        .await
    }
}

type Entry = (Vec<u8>, i32, git2::Oid);

fn collect(
    repo: &Repository,
    tree: &Tree<'_>,
    prefix: &mut Vec<u8>,
    depth: usize,
    globs: &GlobSet,
    files: &mut Vec<Entry>,
) -> Result<(), MirrorError> {
    if depth > MAX_DEPTH {
        return Err(MirrorError::TooLarge { what: "the depth of the tree".to_owned(), limit: MAX_DEPTH as u64 });
    }
    for entry in tree {
        let start = prefix.len();
        prefix.extend_from_slice(entry.name_bytes());
        if entry.kind() == Some(ObjectType::Tree) {
            let inner = repo.find_tree(entry.id()).map_err(MirrorError::git("reading a tree"))?;
            prefix.push(b'/');
            collect(repo, &inner, prefix, depth + 1, globs, files)?;
        } else if globs.is_match(path_of(prefix)) {
            files.push((prefix.clone(), entry.filemode(), entry.id()));
        }
        prefix.truncate(start);
    }
    Ok(())
}

fn path_of(bytes: &[u8]) -> &std::path::Path {
    use std::os::unix::ffi::OsStrExt as _;
    std::path::Path::new(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests;
