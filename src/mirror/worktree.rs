//! A developer's own checkout, or any folder: what `danube run` builds.
use std::path::{Path, PathBuf};

use git2::{Repository, StatusOptions};

use crate::model::trigger::Revision;

use super::objects::describe;
use super::scratch::Sealed;
use super::{MirrorError, Objects};

mod list;
mod pour;

/// How much of a folder is taken.
#[derive(Debug, Clone, Copy)]
pub struct TarLimits {
    /// Bytes of the whole stream.
    pub bytes: u64,
    /// Files, folders and links.
    pub members: u64,
}

/// A folder that may be a git checkout.
#[derive(Debug, Clone)]
pub struct WorkTree {
    root: PathBuf,
    objects: Option<Objects>,
}

/// What is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The commit; none without git or before the first one. The branch is empty where none is checked out.
    pub revision: Option<Revision>,
    /// Files differ from the commit.
    pub dirty: bool,
    /// The address of the remote `origin`.
    pub origin: Option<String>,
}

/// The files of a folder as a tar stream.
#[derive(Debug)]
pub struct TreeTar {
    /// The stream.
    pub tar: Sealed,
    /// How many members it has.
    pub members: u64,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

/// A path that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Relative to the folder.
    pub path: String,
    /// Why.
    pub reason: &'static str,
}

impl WorkTree {
    /// Opens a folder; where it lies inside a git checkout, the checkout's root is opened.
    pub fn open(path: &Path) -> Result<Self, MirrorError> {
        let failed = || MirrorError::local(format!("opening {}", path.display()));
        let path = std::fs::canonicalize(path).map_err(failed())?;
        if !path.is_dir() {
            return Err(failed()(std::io::ErrorKind::NotADirectory.into()));
        }
        match Repository::discover(&path) {
            Ok(repo) => {
                let Some(root) = repo.workdir().map(std::fs::canonicalize).transpose().map_err(failed())? else {
                    let reason = "it is a bare repository; give a checkout of it".to_owned();
                    return Err(MirrorError::Local { what: format!("opening {}", path.display()), reason });
                };
                let objects = Objects::new(repo.path().to_owned(), &root.display().to_string());
                Ok(Self { root, objects: Some(objects) })
            }
            Err(e) if e.code() == git2::ErrorCode::NotFound => Ok(Self { root: path, objects: None }),
            Err(e) => Err(MirrorError::git(format!("opening {}", path.display()))(e)),
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Commits and branches; none without git.
    pub const fn objects(&self) -> Option<&Objects> {
        self.objects.as_ref()
    }

    /// What is checked out.
    pub async fn head(&self) -> Result<Head, MirrorError> {
        let Some(objects) = &self.objects else { return Ok(Head { revision: None, dirty: false, origin: None }) };
        objects
            .read(|_, repo| {
                let failed = || MirrorError::git("reading what is checked out");
                let head = repo.head().ok();
                let branch = head.as_ref().filter(|h| h.is_branch()).and_then(|h| h.shorthand().ok()).unwrap_or("");
                let commit = head.as_ref().and_then(|h| h.peel_to_commit().ok());
                let mut options = StatusOptions::new();
                options.include_untracked(true).include_ignored(false).exclude_submodules(true);
                let statuses = repo.statuses(Some(&mut options)).map_err(failed())?;
                let dirty = statuses.iter().any(|s| !list::is_left_out(s.path_bytes()));
                let origin = repo.find_remote("origin").ok().and_then(|r| r.url().ok().map(str::to_owned));
                Ok(Head { revision: commit.map(|c| describe(&c, branch, None)), dirty, origin })
            })
            .await
    }

    /// Tracked files as they are on disk, and untracked ones that are not ignored; without git, every file. The
    /// stream is made in `scratch`. `.git` and `.danube` are left out, links are kept as links, and nothing
    /// outside the folder is read.
    pub async fn tar(&self, scratch: &Path, limits: TarLimits) -> Result<TreeTar, MirrorError> {
        let (this, scratch) = (self.clone(), scratch.to_owned());
        let done = tokio::task::spawn_blocking(move || {
            let listed = match &this.objects {
                Some(objects) => objects.read_blocking(|_, repo| list::tracked(repo, limits.members))?,
                None => list::all(&this.root, limits.members)?,
            };
            pour::pour(&this.root, listed, &scratch, limits)
        });
        done.await.map_err(|e| MirrorError::Local { what: "reading a folder".to_owned(), reason: e.to_string() })?
    }
}

#[cfg(test)]
mod tests;
