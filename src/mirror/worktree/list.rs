//! Which paths of a folder are taken.
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use git2::{Repository, StatusOptions};

use crate::mirror::{MirrorError, Skipped};

/// Deeper than any folder that people make.
const MAX_DEPTH: usize = 256;

/// Paths relative to the folder, sorted, and what was left out already.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) paths: BTreeSet<Vec<u8>>,
    pub(super) skipped: Vec<Skipped>,
}

impl Listed {
    fn take(&mut self, path: Vec<u8>, most: u64) -> Result<(), MirrorError> {
        self.paths.insert(path);
        if self.paths.len() as u64 > most {
            return Err(MirrorError::TooLarge { what: "the number of files in the folder".to_owned(), limit: most });
        }
        Ok(())
    }

    fn skip(&mut self, path: &[u8], reason: &'static str) {
        self.skipped.push(Skipped { path: String::from_utf8_lossy(path).into_owned(), reason });
    }
}

/// Danube's own files and git's are no part of what is built.
pub(super) fn is_left_out(path: &[u8]) -> bool {
    path.split(|b| *b == b'/').next().is_some_and(|first| first == b".danube")
        || path.split(|b| *b == b'/').any(|part| part == b".git")
}

/// What git knows, and what it would add.
pub(super) fn tracked(repo: &Repository, most: u64) -> Result<Listed, MirrorError> {
    let mut listed = Listed::default();
    let index = repo.index().map_err(MirrorError::git("reading the index"))?;
    for entry in index.iter() {
        if is_left_out(&entry.path) {
            continue;
        }
        if entry.mode == 0o160_000 {
            listed.skip(&entry.path, "a submodule");
        } else {
            listed.take(entry.path, most)?;
        }
    }
    let mut options = StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true).include_ignored(false).exclude_submodules(true);
    let statuses = repo.statuses(Some(&mut options)).map_err(MirrorError::git("listing untracked files"))?;
    for status in statuses.iter().filter(|s| s.status().contains(git2::Status::WT_NEW)) {
        let path = status.path_bytes();
        if is_left_out(path) {
            continue;
        }
        if path.ends_with(b"/") {
            listed.skip(path, "a repository of its own");
        } else {
            listed.take(path.to_vec(), most)?;
        }
    }
    Ok(listed)
}

/// Every path below a folder; links are not walked into.
pub(super) fn all(root: &Path, most: u64) -> Result<Listed, MirrorError> {
    let mut listed = Listed::default();
    let mut waiting: Vec<(Vec<u8>, usize)> = vec![(Vec::new(), 0)];
    while let Some((folder, depth)) = waiting.pop() {
        if depth > MAX_DEPTH {
            listed.skip(&folder, "nested too deeply");
            continue;
        }
        let path = root.join(std::ffi::OsStr::from_bytes(&folder));
        let failed = || MirrorError::local(format!("listing {}", path.display()));
        for entry in fs::read_dir(&path).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let mut name = folder.clone();
            if !name.is_empty() {
                name.push(b'/');
            }
            name.append(&mut entry.file_name().into_vec());
            if is_left_out(&name) {
                continue;
            }
            if entry.file_type().map_err(failed())?.is_dir() {
                waiting.push((name.clone(), depth + 1));
            }
            listed.take(name, most)?;
        }
    }
    Ok(listed)
}
