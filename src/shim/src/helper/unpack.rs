//! Unpacking a tar beneath a directory, whoever made it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use danube_shim::sys;

use super::Problem;
use super::path::{explain, link_stays_inside, make_dirs, normal, split};

/// What is done with symbolic links. None is ever written through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// They stay as they are: a repository may have any.
    Kept,
    /// One that leaves the directory is refused.
    MustStayInside,
}

/// Unpacks every entry beneath `root`; `shown` is what the user calls it.
pub(super) fn unpack(from: &mut impl Read, root: &File, shown: &Path, links: Links) -> Result<(), Problem> {
    let broken = |error: io::Error| format!("{}: the archive is broken: {error}", shown.display());
    let mut archive = tar::Archive::new(from);
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = entry.path_bytes().into_owned();
        let path = entry_path(&name)?;
        let failed = |error: io::Error| explain(&shown.join(&path), &error);
        let Some((parent, name)) = split(&path) else {
            continue;
        };
        if links == Links::Kept && is_repository(&path) {
            return Err(format!("{}: an archive must not bring a repository", path.display()));
        }
        match entry.header().entry_type() {
            tar::EntryType::Directory => {
                make_dirs(root, &path).map_err(failed)?;
            }
            tar::EntryType::Regular => {
                let executable = entry.header().mode().map_err(broken)? & 0o111 != 0;
                let dir = make_dirs(root, &parent).map_err(failed)?;
                let mode = if executable { 0o755 } else { 0o644 };
                replace_file(&dir, &name, mode, &mut entry).map_err(failed)?;
            }
            tar::EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let target = OsStr::from_bytes(&target);
                let depth = path.components().count() - 1;
                if links == Links::MustStayInside && !link_stays_inside(depth, target) {
                    return Err(format!(
                        "{}: the symbolic link to {} leaves the directory",
                        path.display(),
                        target.to_string_lossy()
                    ));
                }
                let dir = make_dirs(root, &parent).map_err(failed)?;
                remove(&dir, &name).map_err(failed)?;
                sys::symlink_at(target, &dir, &name).map_err(failed)?;
            }
            _ => {
                return Err(format!("{}: only files, directories and symbolic links can be unpacked", path.display()));
            }
        }
    }
    Ok(())
}

fn entry_path(name: &[u8]) -> Result<std::path::PathBuf, Problem> {
    let path = normal(Path::new(OsStr::from_bytes(name)));
    path.filter(|_| !name.contains(&0)).ok_or_else(|| {
        let name = String::from_utf8_lossy(name);
        format!("{name}: a path in an archive must be relative and without '..'")
    })
}

/// Whether a path lies in the repository of a workspace, on any file system.
fn is_repository(path: &Path) -> bool {
    let first = path.iter().next();
    first.is_some_and(|name| name.eq_ignore_ascii_case(".git"))
}

fn replace_file(dir: &File, name: &OsStr, mode: u32, from: &mut impl Read) -> io::Result<()> {
    remove(dir, name)?;
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
    let mut file = sys::open_at(dir, name, flags, mode)?;
    io::copy(from, &mut file)?;
    Ok(())
}

fn remove(dir: &File, name: &OsStr) -> io::Result<()> {
    match sys::unlink_at(dir, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
