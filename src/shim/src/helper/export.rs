//! Taking a file or a directory out of a workspace.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use danube_shim::transfer::{self, Kind};
use danube_shim::{frame, sys};

use super::Problem;
use super::path::{beneath, explain, link_stays_inside};

pub(super) const BUFFER: usize = 64 << 10;
/// How many names one directory may have: they are sorted in memory.
pub(super) const NAMES_LIMIT: usize = 1 << 20;
/// How deep directories may lie: each level keeps one descriptor open.
pub(super) const DEPTH_LIMIT: usize = 200;

/// Writes the header and the bytes of one path.
pub(super) fn run(path: &OsStr, to: File) -> Result<(), Problem> {
    let root = super::workspace()?;
    let path = beneath(path)?;
    let found = Found::open(&root, path.as_os_str(), &path)?;
    let mut to = BufWriter::with_capacity(BUFFER, to);
    match found {
        Found::File(file, before) => {
            header(&mut to, Kind::File, &path, Some(before.len()))?;
            let mut file = Unchanged::new(file, before);
            io::copy(&mut file, &mut to).map_err(|error| explain(&path, &error))?;
            file.check().map_err(|error| explain(&path, &error))?;
        }
        Found::Dir(dir) => {
            header(&mut to, Kind::Dir, &path, None)?;
            let mut pack = Pack { tar: tar::Builder::new(&mut to), shown: path };
            pack.directory(&dir, Path::new(""), 0)?;
            pack.tar.finish().map_err(|error| cannot_send(&error))?;
        }
        Found::Link(_) => {
            let shown = path.display();
            return Err(format!("{shown}: a symbolic link is not followed; name its target"));
        }
    }
    to.flush().map_err(|error| cannot_send(&error))
}

pub(super) fn cannot_send(error: &io::Error) -> Problem {
    format!("cannot hand the bytes over: {error}")
}

fn header(to: &mut impl Write, kind: Kind, path: &Path, size: Option<u64>) -> Result<(), Problem> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let header = transfer::Item { version: transfer::VERSION, kind, name, size };
    frame::write(to, &header).map_err(|error| error.to_string())
}

/// What a name turned out to be.
pub(super) enum Found {
    File(File, Metadata),
    Dir(File),
    Link(OsString),
}

impl Found {
    /// Looks before it opens: opening a device or a fifo may do something.
    pub(super) fn open(dir: &File, name: &OsStr, shown: &Path) -> Result<Self, Problem> {
        let failed = |error: io::Error| explain(shown, &error);
        let looked = sys::open_beneath(dir, name, libc::O_PATH).map_err(failed)?;
        let kind = looked.metadata().map_err(failed)?.file_type();
        if kind.is_symlink() {
            return sys::read_link(&looked).map(Self::Link).map_err(failed);
        }
        if !kind.is_file() && !kind.is_dir() {
            let what = match () {
                () if kind.is_fifo() => "a named pipe",
                () if kind.is_socket() => "a socket",
                () => "a device",
            };
            return Err(format!("{}: {what} cannot be taken out", shown.display()));
        }
        let file = sys::open_beneath(dir, name, libc::O_RDONLY | libc::O_NONBLOCK);
        let file = file.map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        match () {
            () if meta.is_file() => Ok(Self::File(file, meta)),
            () if meta.is_dir() => Ok(Self::Dir(file)),
            () => Err(format!("{}: changed while it was read", shown.display())),
        }
    }
}

/// A file of which exactly the bytes that were there at first are read.
pub(super) struct Unchanged {
    file: io::Take<File>,
    before: Metadata,
}

impl Unchanged {
    pub(super) fn new(file: File, before: Metadata) -> Self {
        Self { file: file.take(before.len()), before }
    }

    pub(super) fn check(self) -> io::Result<()> {
        let missing = self.file.limit();
        let after = self.file.into_inner().metadata()?;
        let stamp = |meta: &Metadata| {
            let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
            (meta.len(), times)
        };
        match missing == 0 && stamp(&after) == stamp(&self.before) {
            true => Ok(()),
            false => Err(io::Error::other("changed while it was read")),
        }
    }
}

impl Read for Unchanged {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if count == 0 && self.file.limit() > 0 && !buffer.is_empty() {
            return Err(io::Error::other("changed while it was read"));
        }
        Ok(count)
    }
}

struct Pack<W: Write> {
    tar: tar::Builder<W>,
    /// What the user called the directory, for messages.
    shown: PathBuf,
}

impl<W: Write> Pack<W> {
    fn directory(&mut self, dir: &File, inner: &Path, depth: usize) -> Result<(), Problem> {
        let here = self.shown.join(inner);
        if depth > DEPTH_LIMIT {
            let shown = here.display();
            return Err(format!("{shown}: directories lie deeper than {DEPTH_LIMIT} levels"));
        }
        let names = sys::list(dir, NAMES_LIMIT).map_err(|error| explain(&here, &error))?;
        let mut entries = Vec::with_capacity(names.len());
        for name in names {
            let is_dir = sys::open_beneath(dir, &name, libc::O_PATH)
                .and_then(|found| found.metadata())
                .map_err(|error| explain(&here.join(&name), &error))?
                .is_dir();
            entries.push((name, is_dir));
        }
        // By the bytes of the whole path: a directory's has a slash at the end.
        entries.sort_by_cached_key(|(name, is_dir)| [name.as_bytes(), if *is_dir { b"/" } else { b"" }].concat());
        for (name, _) in entries {
            let path = inner.join(&name);
            match Found::open(dir, &name, &self.shown.join(&path))? {
                Found::Dir(child) => {
                    let mut slashed = path.clone().into_os_string();
                    slashed.push("/");
                    let mut header = plain_header(tar::EntryType::Directory, 0o755, 0);
                    self.append(&mut header, Path::new(&slashed), io::empty())?;
                    self.directory(&child, &path, depth + 1)?;
                }
                Found::File(file, meta) => self.file(&path, file, meta)?,
                Found::Link(target) => self.link(&path, &target, depth)?,
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, file: File, meta: Metadata) -> Result<(), Problem> {
        let mode = if meta.mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        let mut header = plain_header(tar::EntryType::Regular, mode, meta.len());
        let mut file = Unchanged::new(file, meta);
        self.append(&mut header, path, &mut file)?;
        file.check().map_err(|error| explain(&self.shown.join(path), &error))
    }

    fn link(&mut self, path: &Path, target: &OsStr, depth: usize) -> Result<(), Problem> {
        let shown = self.shown.join(path);
        if !link_stays_inside(depth, target) {
            let (shown, target) = (shown.display(), target.to_string_lossy());
            return Err(format!("{shown}: the symbolic link to {target} leaves the directory"));
        }
        let mut header = plain_header(tar::EntryType::Symlink, 0o777, 0);
        let appended = self.tar.append_link(&mut header, path, target);
        appended.map_err(|error| explain(&shown, &error))
    }

    fn append(&mut self, header: &mut tar::Header, path: &Path, data: impl Read) -> Result<(), Problem> {
        let appended = self.tar.append_data(header, path, data);
        appended.map_err(|error| explain(&self.shown.join(path), &error))
    }
}

fn plain_header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_while_it_is_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let read = |change: &dyn Fn()| {
            std::fs::write(&path, "12345").unwrap();
            let file = File::open(&path).unwrap();
            let before = file.metadata().unwrap();
            let mut file = Unchanged::new(file, before);
            file.read_exact(&mut [0; 2]).unwrap();
            change();
            io::copy(&mut file, &mut io::sink()).and_then(|_| file.check())
        };
        assert!(read(&|| {}).is_ok());
        assert!(read(&|| std::fs::write(&path, "123").unwrap()).is_err());
        assert!(read(&|| std::fs::write(&path, "1234567").unwrap()).is_err());
    }
}
