//! Taking the files out of a workspace that a pattern names.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use danube_shim::transfer::{self, Kind};
use danube_shim::{frame, sys};

use super::Problem;
use super::export::{BUFFER, DEPTH_LIMIT, Found, NAMES_LIMIT, Unchanged, cannot_send};
use super::glob::Glob;
use super::path::explain;

/// How many files may match.
const FILES_LIMIT: usize = 1000;

/// Writes each matching file behind a header with its path, sorted by the bytes of the path.
pub(super) fn run(pattern: &str, to: File) -> Result<(), Problem> {
    let glob = Glob::parse(pattern)?;
    let root = super::workspace()?;
    let mut found = Matches { glob: &glob, pattern, paths: Vec::new(), seen: 0 };
    let start: PathBuf = glob.fixed().into_iter().collect();
    if glob.is_plain() {
        found.paths.push(start);
    } else {
        let at = if start.as_os_str().is_empty() { Path::new(".") } else { &start };
        match sys::open_beneath(&root, at.as_os_str(), libc::O_RDONLY | libc::O_DIRECTORY) {
            Ok(dir) => found.search(&dir, &start)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(explain(at, &error)),
        }
    }
    if found.paths.is_empty() {
        return Err(format!("{pattern}: no such file in the workspace"));
    }
    found.paths.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    let mut to = BufWriter::with_capacity(BUFFER, to);
    for path in &found.paths {
        send(&root, path, &mut to)?;
    }
    to.flush().map_err(|error| cannot_send(&error))
}

fn send(root: &File, path: &Path, to: &mut impl Write) -> Result<(), Problem> {
    let (file, before) = match Found::open(root, path.as_os_str(), path)? {
        Found::File(file, before) => (file, before),
        Found::Dir(_) => return Err(format!("{}: a directory is where a file is needed", path.display())),
        Found::Link(_) => return Err(format!("{}: a symbolic link is not followed; name its target", path.display())),
    };
    let name = path.to_string_lossy().into_owned();
    let header = transfer::Item { version: transfer::VERSION, kind: Kind::File, name, size: Some(before.len()) };
    frame::write(&mut *to, &header).map_err(|error| error.to_string())?;
    let mut file = Unchanged::new(file, before);
    io::copy(&mut file, to).map_err(|error| explain(path, &error))?;
    file.check().map_err(|error| explain(path, &error))
}

/// What a walk has found so far.
struct Matches<'a> {
    glob: &'a Glob,
    pattern: &'a str,
    paths: Vec<PathBuf>,
    seen: usize,
}

impl Matches<'_> {
    fn search(&mut self, dir: &File, inner: &Path) -> Result<(), Problem> {
        let depth = inner.components().count();
        if depth > DEPTH_LIMIT {
            return Err(format!("{}: directories lie deeper than {DEPTH_LIMIT} levels", inner.display()));
        }
        for name in sys::list(dir, NAMES_LIMIT).map_err(|error| explain(inner, &error))? {
            self.seen += 1;
            if self.seen > NAMES_LIMIT {
                return Err(format!("{}: more than {NAMES_LIMIT} files lie there; name a folder", self.pattern));
            }
            let path = inner.join(&name);
            // What went away since it was listed is not there.
            let Ok(looked) = sys::open_beneath(dir, &name, libc::O_PATH) else { continue };
            let Ok(meta) = looked.metadata() else { continue };
            if meta.is_file() && self.glob.matches(&path) {
                if self.paths.len() == FILES_LIMIT {
                    return Err(format!("{}: more than {FILES_LIMIT} files match; name fewer", self.pattern));
                }
                self.paths.push(path);
            } else if meta.is_dir() && self.glob.depth().is_none_or(|deepest| depth + 1 < deepest) {
                let inner = sys::open_beneath(dir, &name, libc::O_RDONLY | libc::O_DIRECTORY);
                self.search(&inner.map_err(|error| explain(&path, &error))?, &path)?;
            }
        }
        Ok(())
    }
}
