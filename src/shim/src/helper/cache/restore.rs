//! Putting a cache back, beneath its places, whoever made it.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use danube_shim::sys;

use super::super::Problem;
use super::super::path::{explain, make_dirs, normal, split};
use super::survey::Survey;
use super::{Cache, Place, STAMP};

const BUFFER: usize = 1 << 20;
/// A file of the workspace has its name only when it is whole: what has a name is left alone.
const HALF: &str = ".danube-cache-half";

pub(super) fn run(cache: &Cache, owner: (u32, u32), from: File) -> Result<(), Problem> {
    let broken = |error: io::Error| format!("the cache is broken: {error}");
    let mut archive = tar::Archive::new(BufReader::with_capacity(BUFFER, from));
    let mut into = Into { cache, owner: Some(owner).filter(|owner| *owner != (0, 0)), parent: None };
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = entry.path_bytes().into_owned();
        let (number, inner) = parts(&name).ok_or_else(|| format!("the cache is broken: {}", shown(&name)))?;
        let place = cache.places.get(number).ok_or_else(|| format!("the cache is broken: {}", shown(&name)))?;
        into.entry(place, &inner, &mut entry).map_err(|error| explain(&place.shown().join(&inner), &error))?;
    }
    let stamp = Survey::of(cache, u64::MAX)?.stamp();
    cache.write_stamp(STAMP, &stamp).map_err(|error| format!("cannot note what was restored: {error}"))
}

/// The number of a place and the path below it; empty for the place itself.
fn parts(name: &[u8]) -> Option<(usize, PathBuf)> {
    let path = normal(Path::new(OsStr::from_bytes(name))).filter(|_| !name.contains(&0))?;
    let mut parts = path.iter();
    let number = parts.next()?.to_str()?.parse().ok()?;
    Some((number, parts.collect()))
}

fn shown(name: &[u8]) -> String {
    format!("{} is no path of it", String::from_utf8_lossy(name))
}

struct Into<'a> {
    cache: &'a Cache,
    /// Whose the files are, unless the container's root's.
    owner: Option<(u32, u32)>,
    /// The directory that was written to last: entries are sorted.
    parent: Option<(PathBuf, bool, File)>,
}

impl Into<'_> {
    fn entry(&mut self, place: &Place, inner: &Path, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<()> {
        let (below, at) = self.cache.at(place);
        let of_workspace = matches!(place, Place::Workspace(_));
        let path = if inner.as_os_str().is_empty() { at } else { at.join(inner) };
        let Some((parent, name)) = split(&path).filter(|_| path != Path::new(".")) else { return Ok(()) };
        let mode = entry.header().mode()? & 0o777;
        let dir = match self.parent.take() {
            Some((known, same, dir)) if known == parent && same == of_workspace => dir,
            _ => make_dirs(below, &parent)?,
        };
        let done = match entry.header().entry_type() {
            tar::EntryType::Directory => self.directory(&dir, &name, mode, of_workspace),
            tar::EntryType::Regular if of_workspace => self.add_file(&dir, &name, mode, entry),
            tar::EntryType::Regular => self.file(&dir, &name, mode, entry),
            tar::EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                self.link(&dir, &name, OsStr::from_bytes(&target))
            }
            kind => Err(io::Error::other(format!("{kind:?} is nothing that a cache holds"))),
        };
        self.parent = Some((parent, of_workspace, dir));
        done
    }

    fn directory(&self, dir: &File, name: &OsStr, mode: u32, of_workspace: bool) -> io::Result<()> {
        match sys::mkdir_at(dir, name, 0o700) {
            Ok(()) => {}
            // The place itself was made for this; a directory of the workspace keeps its mode.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !of_workspace => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            Err(error) => return Err(error),
        }
        let made = sys::open_beneath(dir, name, libc::O_RDONLY | libc::O_DIRECTORY)?;
        self.own(&made)?;
        made.set_permissions(Permissions::from_mode(mode))
    }

    fn file(&self, dir: &File, name: &OsStr, mode: u32, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<()> {
        let mut file = sys::open_at(dir, name, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, 0o600)?;
        io::copy(entry, &mut file)?;
        self.own(&file)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.set_modified(UNIX_EPOCH + Duration::from_secs(entry.header().mtime()?))
    }

    /// A file that is there already is newer than the cache, or was restored before this was cut short.
    fn add_file(&self, dir: &File, name: &OsStr, mode: u32, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<()> {
        if sys::open_beneath(dir, name, libc::O_PATH).is_ok() {
            return Ok(());
        }
        let half = OsStr::new(HALF);
        match sys::unlink_at(dir, half) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => self.file(dir, half, mode, entry)?,
        }
        sys::rename_at(dir, half, name)
    }

    fn link(&self, dir: &File, name: &OsStr, target: &OsStr) -> io::Result<()> {
        match sys::symlink_at(target, dir, name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            made => made?,
        }
        match self.owner {
            Some((uid, gid)) => sys::chown_at(dir, name, uid, gid),
            None => Ok(()),
        }
    }

    fn own(&self, file: &File) -> io::Result<()> {
        match self.owner {
            Some((uid, gid)) => fchown(file, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }
}
