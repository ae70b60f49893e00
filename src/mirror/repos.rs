//! The folder of mirrors.
use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::scratch::sweep;
use super::{Mirror, MirrorError};
use crate::platform::git;

/// `<data>/repos`. Everybody who asks for one address gets the same mirror, so that fetches take turns.
#[derive(Debug)]
pub struct Repos {
    dir: PathBuf,
    open: Mutex<HashMap<PathBuf, Weak<Mirror>>>,
}

impl Repos {
    /// Opens the folder, making it where it is missing, and removes what a killed process left there.
    pub fn open(dir: &Path) -> Result<Self, MirrorError> {
        let failed = |what: &str| MirrorError::local(format!("{what} {}", dir.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("making the folder"))?;
        let dir = fs::canonicalize(dir).map_err(failed("finding the folder"))?;
        sweep(&dir).map_err(failed("clearing the folder"))?;
        remove_leftovers(&dir);
        Ok(Self { dir, open: Mutex::default() })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The mirror of an address, made where it is missing.
    pub fn mirror(&self, url: &str) -> Result<Arc<Mirror>, MirrorError> {
        let path = Mirror::path_of(&self.dir, url);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mirror) = open.get(&path).and_then(Weak::upgrade) {
            // The cache may be deleted at any time: look again, as at the first opening.
            mirror.ensure()?;
            return Ok(mirror);
        }
        let mirror = Arc::new(Mirror::open_or_create(&self.dir, url)?);
        open.retain(|_, weak| weak.strong_count() > 0);
        open.insert(path, Arc::downgrade(&mirror));
        Ok(mirror)
    }
}

/// What a killed master's git left: itself, its locks, its halves of packs.
fn remove_leftovers(dir: &Path) {
    for name in git::end_orphans(dir) {
        tracing::info!(
            what = "a git",
            name,
            job = "none",
            why = "the master that started it died",
            "removed a left-over"
        );
    }
    let mirrors = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in
        mirrors.filter(|path| path.extension().is_some_and(|ext| ext == "git")).flat_map(|m| git::remove_halves(&m))
    {
        let name = path.display();
        tracing::info!(what = "a half of git's", %name, job = "none", why = "the git that wrote it died", "removed a left-over");
    }
}
