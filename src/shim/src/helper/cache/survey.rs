//! Looking over a cache without reading its files: how much there is, and whether it changed.

use std::fs::{File, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use danube_shim::sys;

use super::super::Problem;
use super::super::export::{DEPTH_LIMIT, NAMES_LIMIT};
use super::super::path::explain;
use super::Cache;

/// What lies in a cache.
#[derive(Default)]
pub(super) struct Survey {
    /// Files, directories and links.
    pub(super) entries: u64,
    /// Bytes of the files.
    pub(super) bytes: u64,
    /// Sockets, pipes and devices: nothing that could be kept.
    pub(super) left_out: u64,
    most: u64,
    sum: u64,
}

impl Survey {
    /// Looks at every place; stops where there are more than `most` entries.
    pub(super) fn of(cache: &Cache, most: u64) -> Result<Self, Problem> {
        let mut survey = Self { most, ..Self::default() };
        for (number, place) in cache.places.iter().enumerate() {
            let (below, path) = cache.at(place);
            let shown = place.shown();
            let looked = match sys::open_beneath(below, path.as_os_str(), libc::O_PATH) {
                Ok(looked) => looked,
                // What the step did not make is not there.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(explain(&shown, &error)),
            };
            let meta = looked.metadata().map_err(|error| explain(&shown, &error))?;
            if meta.is_symlink() {
                return Err(format!(
                    "{}: a symbolic link is where the cache was, which is not followed",
                    shown.display()
                ));
            }
            if meta.is_dir() {
                let dir = sys::open_beneath(below, path.as_os_str(), libc::O_RDONLY | libc::O_DIRECTORY);
                let dir = dir.map_err(|error| explain(&shown, &error))?;
                survey.directory(&dir, &Path::new(&number.to_string()).join(""), &shown, 0)?;
            } else {
                survey.entry(Path::new(&number.to_string()), &shown, &meta)?;
            }
        }
        Ok(survey)
    }

    /// The same as long as nothing in the cache was written, added or removed.
    pub(super) fn stamp(&self) -> String {
        format!("{:016x} {} {}\n", self.sum, self.entries, self.bytes)
    }

    fn directory(&mut self, dir: &File, inner: &Path, shown: &Path, depth: usize) -> Result<(), Problem> {
        if depth > DEPTH_LIMIT {
            return Err(format!("{}: directories lie deeper than {DEPTH_LIMIT} levels", shown.display()));
        }
        for name in sys::list(dir, NAMES_LIMIT).map_err(|error| explain(shown, &error))? {
            let (path, shown) = (inner.join(&name), shown.join(&name));
            let failed = |error: std::io::Error| explain(&shown, &error);
            let meta =
                sys::open_beneath(dir, &name, libc::O_PATH).and_then(|found| found.metadata()).map_err(failed)?;
            self.entry(&path, &shown, &meta)?;
            if meta.is_dir() {
                let child = sys::open_beneath(dir, &name, libc::O_RDONLY | libc::O_DIRECTORY).map_err(failed)?;
                self.directory(&child, &path, &shown, depth + 1)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, shown: &Path, meta: &Metadata) -> Result<(), Problem> {
        if !meta.is_dir() && !meta.is_file() && !meta.is_symlink() {
            self.left_out += 1;
            return Ok(());
        }
        self.entries += 1;
        if self.entries > self.most {
            return Err(format!("it has more than {} files ({} is one too many)", self.most, shown.display()));
        }
        // A directory's own times change with every name in it, which counts by itself.
        let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec(), meta.ino(), meta.len());
        let times = (!meta.is_dir()).then_some(times);
        if meta.is_file() {
            self.bytes = self.bytes.saturating_add(meta.len());
        }
        let mut hasher = DefaultHasher::new();
        (path, meta.mode(), times).hash(&mut hasher);
        // A sum does not depend on the order in which a directory lists its names.
        self.sum = self.sum.wrapping_add(hasher.finish());
        Ok(())
    }
}
