//! Paths below the workspace.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use danube_shim::sys;

use super::Problem;

/// Where the workspace is in every container.
const WORKSPACE: &str = "/workspace";

/// The path of a user's argument relative to the workspace; `.` for the workspace itself.
pub(super) fn beneath(path: &OsStr) -> Result<PathBuf, Problem> {
    let shown = path.to_string_lossy();
    let path = Path::new(path);
    let inner = match path.strip_prefix(WORKSPACE) {
        Ok(inner) => inner,
        Err(_) if path.is_absolute() => {
            return Err(format!("{shown}: not in the workspace; use a path below {WORKSPACE}"));
        }
        Err(_) => path,
    };
    normal(inner).ok_or_else(|| format!("{shown}: a path with '..' may leave the workspace"))
}

/// The path without `.`; `None` when it is absolute or has `..`.
pub(super) fn normal(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    if clean.as_os_str().is_empty() {
        clean.push(".");
    }
    Some(clean)
}

/// Opens a directory beneath another and makes what is missing on the way.
pub(super) fn make_dirs(root: &File, path: &Path) -> io::Result<File> {
    let open = |path: &Path| sys::open_beneath(root, path.as_os_str(), libc::O_RDONLY | libc::O_DIRECTORY);
    match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => return result,
    }
    let mut dir = open(Path::new("."))?;
    for name in path {
        match sys::mkdir_at(&dir, name, 0o755) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        dir = sys::open_beneath(&dir, name, libc::O_RDONLY | libc::O_DIRECTORY)?;
    }
    Ok(dir)
}

/// The directory of a path and the name in it.
pub(super) fn split(path: &Path) -> Option<(PathBuf, OsString)> {
    let name = path.file_name()?.to_owned();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Some((parent.unwrap_or(Path::new(".")).to_owned(), name))
}

/// A failure on a path in words that do not need a manual.
pub(super) fn explain(path: &Path, error: &io::Error) -> Problem {
    let shown = path.display();
    match error.raw_os_error() {
        Some(libc::ENOENT) => format!("{shown}: no such file in the workspace"),
        Some(libc::ELOOP) => format!("{shown}: a symbolic link is on the way, which is not followed"),
        Some(libc::ENOTDIR) => format!("{shown}: a file or a symbolic link is where a directory is needed"),
        Some(libc::EISDIR) => format!("{shown}: a directory is where a file is needed"),
        _ => format!("{shown}: {error}"),
    }
}

/// Whether a link in a directory `depth` levels below the root of a transfer stays below it.
///
/// Only leading `..` are counted and no later one is allowed, so it stays true through other such
/// links.
pub(super) fn link_stays_inside(depth: usize, target: &OsStr) -> bool {
    let mut up = 0;
    let mut down = false;
    for component in Path::new(target).components() {
        match component {
            Component::ParentDir if down => return false,
            Component::ParentDir => up += 1,
            Component::Normal(_) => down = true,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    up <= depth && !target.as_bytes().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_below_the_workspace_only() {
        let ok = |path: &str| beneath(OsStr::new(path)).unwrap();
        assert_eq!(ok("dist/./x.whl"), Path::new("dist/x.whl"));
        assert_eq!(ok("/workspace/dist/"), Path::new("dist"));
        assert_eq!(ok("/workspace"), Path::new("."));
        for path in ["/etc/passwd", "../x", "a/../../x", "/workspace/../etc", "/workspaces/x"] {
            assert!(beneath(OsStr::new(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn a_link_that_could_leave_is_told_from_one_that_stays() {
        let stays = |depth, target: &str| link_stays_inside(depth, OsStr::new(target));
        assert!(stays(0, "lib.so.1"));
        assert!(stays(1, "../lib/x"));
        assert!(stays(2, "../.."));
        assert!(!stays(0, "../x"));
        assert!(!stays(1, "../../x"));
        assert!(!stays(5, "a/../../b"));
        assert!(!stays(5, "/etc/passwd"));
        assert!(!stays(5, ""));
    }
}
