//! The entries of a layer as files below `/`, which is the layer's own directory by then.
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, linkat,
    lsetxattr, mkdirat, mknodat, openat, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::tar::{Content, Entries, Entry, Kind};
use super::{Problem, Unpacked};

/// Users and groups that a container has.
const USERS: u64 = 65_536;
/// What marks that a name of a layer beneath is gone, and that a directory hides the one beneath it.
const GONE: &[u8] = b".wh.";
const HIDES: &[u8] = b".wh..wh..opq";
const OF_TOOLS: &[u8] = b".wh..wh.";
/// The same for the kernel.
const OPAQUE: &str = "user.overlay.opaque";
/// The most names of directories that are only parts of paths.
const IMPLIED: usize = 10_000;
/// The most that one attribute of a file may hold.
const XATTR: usize = 64 << 10;

/// The files of a layer while they are made.
pub(super) struct Tree {
    most: u64,
    done: Unpacked,
    implied: BTreeSet<PathBuf>,
    /// Directories and their times, which change with every file in them.
    times: Vec<(PathBuf, Timestamps)>,
    /// A directory hands its group on: then every file's group is set.
    inherits: bool,
}

impl Tree {
    pub(super) fn new(most: u64) -> Self {
        Self { most, done: Unpacked::default(), implied: BTreeSet::new(), times: Vec::new(), inherits: false }
    }

    pub(super) fn finish(mut self) -> Result<Unpacked, Problem> {
        for (path, times) in self.times.iter().rev() {
            match utimensat(CWD, path, times, AtFlags::SYMLINK_NOFOLLOW) {
                // A later entry may have replaced it.
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => return Err(io("set the time of", path)(error)),
            }
        }
        self.done.implied = self.implied.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        Ok(self.done)
    }

    /// Makes something whose parent may be missing and whose place may be taken.
    fn make(&mut self, path: &Path, make: impl Fn() -> rustix::io::Result<()>) -> Result<(), Problem> {
        let mut parents = false;
        let mut cleared = false;
        loop {
            match make() {
                Ok(()) => return Ok(()),
                Err(Errno::NOENT) if !parents => {
                    parents = true;
                    self.make_parents(path)?;
                }
                Err(Errno::EXIST) if !cleared => {
                    cleared = true;
                    remove(path)?;
                }
                Err(Errno::NOTDIR | Errno::NOENT | Errno::LOOP) => {
                    return Problem::refused(format!(
                        "the path {} leads through something that is no directory",
                        shown(path)
                    ));
                }
                Err(error) => return Err(io("make", path)(error)),
            }
        }
    }

    fn make_parents(&mut self, path: &Path) -> Result<(), Problem> {
        let Some(parent) = path.parent().filter(|parent| *parent != Path::new("/")) else { return Ok(()) };
        match mkdirat(CWD, parent, Mode::from_raw_mode(0o755)) {
            Ok(()) => self.imply(parent),
            Err(Errno::EXIST) => Ok(()),
            Err(Errno::NOENT) => {
                self.make_parents(parent)?;
                match mkdirat(CWD, parent, Mode::from_raw_mode(0o755)) {
                    Ok(()) => self.imply(parent),
                    Err(Errno::EXIST) => Ok(()),
                    Err(error) => Err(io("make", parent)(error)),
                }
            }
            // What is in the way is told by who needs the directory.
            Err(Errno::NOTDIR | Errno::LOOP) => Ok(()),
            Err(error) => Err(io("make", parent)(error)),
        }
    }

    fn imply(&mut self, dir: &Path) -> Result<(), Problem> {
        self.implied.insert(dir.to_owned());
        match self.implied.len() > IMPLIED {
            true => Problem::refused(format!("more than {IMPLIED} of its directories have no entry of their own")),
            false => Ok(()),
        }
    }

    fn directory(&mut self, path: &Path, entry: &Entry) -> Result<(), Problem> {
        let mode = Mode::from_raw_mode(entry.mode);
        match kind_of(path) {
            Ok(FileType::Directory) => {}
            // A name that this layer takes away and makes anew: nothing beneath shows through it.
            Ok(FileType::CharacterDevice) => {
                remove(path)?;
                self.make(path, || mkdirat(CWD, path, mode))?;
                hide(path)?;
            }
            _ => self.make(path, || mkdirat(CWD, path, mode))?,
        }
        self.implied.remove(path);
        self.own(path, entry, true)?;
        chmodat(CWD, path, mode, AtFlags::empty()).map_err(io("set the mode of", path))?;
        self.inherits |= entry.mode & 0o2000 != 0;
        self.times.push((path.to_owned(), times(entry)));
        self.attributes(path, entry)
    }

    fn file(&mut self, path: &Path, entry: &Entry, content: &mut Content<'_>) -> Result<(), Problem> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = std::cell::Cell::new(None);
        self.make(path, || {
            opened.set(Some(openat(CWD, path, flags, Mode::from_raw_mode(entry.mode & 0o777))?));
            Ok(())
        })?;
        let Some(file) = opened.take() else { return Problem::refused("a file could not be made") };
        let mut file = std::fs::File::from(file);
        loop {
            let part = content.next()?;
            if part.is_empty() {
                break;
            }
            file.write_all(part).map_err(|e| Problem::Io(format!("write {}", shown(path)), e))?;
            self.done.bytes += part.len() as u64;
        }
        self.own(path, entry, false)?;
        if entry.mode & 0o7000 != 0 {
            chmodat(CWD, path, Mode::from_raw_mode(entry.mode), AtFlags::empty())
                .map_err(io("set the mode of", path))?;
        }
        self.attributes(path, entry)?;
        rustix::fs::futimens(&file, &times(entry)).map_err(io("set the time of", path))
    }

    fn own(&self, path: &Path, entry: &Entry, always: bool) -> Result<(), Problem> {
        if entry.uid >= USERS || entry.gid >= USERS {
            return Problem::refused(format!(
                "{} belongs to user {} and group {}: a container here has users and groups 0 to 65535",
                shown(path),
                entry.uid,
                entry.gid
            ));
        }
        if (entry.uid, entry.gid) == (0, 0) && !always && !self.inherits {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(entry.uid as u32), Gid::from_raw(entry.gid as u32));
        chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).map_err(io("set the owner of", path))
    }

    fn attributes(&self, path: &Path, entry: &Entry) -> Result<(), Problem> {
        for (name, value) in &entry.xattrs {
            let taken =
                name == b"security.capability" || name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
            if !taken || value.len() > XATTR || name.contains(&0) {
                continue;
            }
            match lsetxattr(path, OsStr::from_bytes(name), value, XattrFlags::empty()) {
                // A file system without them, or a kind of file: no step relies on any.
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL | Errno::RANGE | Errno::TOOBIG) => {}
                Err(error) => return Err(io("set an attribute of", path)(error)),
            }
        }
        Ok(())
    }

    fn whiteout(&mut self, path: &Path, name: &[u8]) -> Result<(), Problem> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        if name == HIDES {
            self.make_parents(path)?;
            return hide(parent);
        }
        if name.starts_with(OF_TOOLS) {
            return Ok(());
        }
        let gone = &name[GONE.len()..];
        if gone.is_empty() || gone == b"." || gone == b".." {
            return Problem::refused(format!("its marker {} takes away a directory that it is in", shown(path)));
        }
        let path = parent.join(OsStr::from_bytes(gone));
        match kind_of(&path) {
            Ok(FileType::Directory) => hide(&path),
            Ok(_) => Ok(()),
            Err(_) => self.make(&path, || mknodat(CWD, &path, FileType::CharacterDevice, Mode::empty(), 0)),
        }
    }
}

impl Entries for Tree {
    fn entry(&mut self, entry: Entry, content: &mut Content<'_>) -> Result<(), Problem> {
        self.done.entries += 1;
        if self.done.entries > self.most {
            return Problem::refused(format!("it has more than {} entries, the bound of this executor", self.most));
        }
        let path = inside(&entry.path, "the path")?;
        if let Some(name) = path.file_name().map(OsStr::as_bytes).filter(|name| name.starts_with(GONE)) {
            return self.whiteout(&path, name);
        }
        if path == Path::new("/") && entry.kind != Kind::Directory {
            return Problem::refused("it replaces the root by something else");
        }
        match entry.kind {
            Kind::Directory => self.directory(&path, &entry),
            Kind::File => self.file(&path, &entry, content),
            // No container gets devices; what must be there is mounted.
            Kind::Device => Ok(()),
            Kind::Fifo => {
                self.make(&path, || mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(entry.mode & 0o777), 0))?;
                self.own(&path, &entry, false)
            }
            Kind::SymLink => {
                if entry.link.is_empty() || entry.link.contains(&0) {
                    return Problem::refused(format!("the link {} leads nowhere", shown(&path)));
                }
                self.make(&path, || symlinkat(OsStr::from_bytes(&entry.link), CWD, &path))?;
                self.own(&path, &entry, false)?;
                utimensat(CWD, &path, &times(&entry), AtFlags::SYMLINK_NOFOLLOW).map_err(io("set the time of", &path))
            }
            Kind::HardLink => {
                let target = inside(&entry.link, "the target of a hard link")?;
                match kind_of(&target) {
                    Ok(FileType::RegularFile | FileType::Symlink | FileType::Fifo) => {}
                    Ok(_) => {
                        return Problem::refused(format!(
                            "{} is a hard link to something else than a file",
                            shown(&path)
                        ));
                    }
                    Err(_) => {
                        return Problem::refused(format!(
                            "{} is a hard link to {}, which is not in the layer",
                            shown(&path),
                            shown(&target)
                        ));
                    }
                }
                if target == path {
                    return Ok(());
                }
                self.make(&path, || linkat(CWD, &target, CWD, &path, AtFlags::empty()))
            }
        }
    }
}

/// A path of the tar as one below the root; what leads up is refused.
fn inside(path: &[u8], what: &str) -> Result<PathBuf, Problem> {
    let told = Path::new(OsStr::from_bytes(path));
    let mut clean = PathBuf::from("/");
    for part in told.components() {
        match part {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => clean.push(name),
            Component::ParentDir | Component::Prefix(_) => {
                return Problem::refused(format!("{what} {} leads out of the image", shown(told)));
            }
        }
    }
    match path.contains(&0) || clean.as_os_str().len() >= 4096 {
        true => Problem::refused(format!("{what} {} is too long or holds a NUL", shown(told))),
        false => Ok(clean),
    }
}

fn kind_of(path: &Path) -> rustix::io::Result<FileType> {
    Ok(FileType::from_raw_mode(statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)?.st_mode))
}

/// Removes what has a name, with all that is in it.
fn remove(path: &Path) -> Result<(), Problem> {
    match unlinkat(CWD, path, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {
            std::fs::remove_dir_all(path).map_err(|e| Problem::Io(format!("replace {}", shown(path)), e))
        }
        Err(error) => Err(io("replace", path)(error)),
    }
}

/// What the layers beneath have in this directory is gone.
fn hide(dir: &Path) -> Result<(), Problem> {
    match kind_of(dir) {
        Ok(FileType::Directory) => lsetxattr(dir, OPAQUE, b"y", XattrFlags::empty()).map_err(io("mark", dir)),
        _ => Problem::refused(format!("it hides what is beneath {}, which is no directory", shown(dir))),
    }
}

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec { tv_sec: entry.mtime.0, tv_nsec: entry.mtime.1.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn io(what: &str, path: &Path) -> impl FnOnce(Errno) -> Problem {
    let what = format!("{what} {}", shown(path));
    move |error| Problem::Io(what, io::Error::from(error))
}

/// A path for people: what a layer wrote into it is not to reach a terminal.
fn shown(path: &Path) -> String {
    let text: String = path.to_string_lossy().chars().map(|c| if c.is_control() { '?' } else { c }).take(200).collect();
    format!("'{text}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for (path, clean) in
            [("./", "/"), ("/etc/../x", ""), ("a//b/./c", "/a/b/c"), ("/a", "/a"), ("../x", ""), ("", "/")]
        {
            match inside(path.as_bytes(), "the path") {
                Ok(found) => assert_eq!(found, Path::new(clean), "{path}"),
                Err(problem) => assert!(clean.is_empty() && problem.to_string().contains("leads out"), "{path}"),
            }
        }
    }
}
