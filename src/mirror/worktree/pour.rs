//! Listed paths into a tar stream. Every path is opened beneath the folder without following a link, so that a
//! folder swapped for a link meanwhile leads nowhere.
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, readlinkat};

use super::list::Listed;
use crate::mirror::scratch::{nameless, seal};
use crate::mirror::tar::{Member, body, finish, header};
use crate::mirror::{MirrorError, Skipped, TarLimits, TreeTar};

const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

pub(super) fn pour(root: &Path, listed: Listed, scratch: &Path, limits: TarLimits) -> Result<TreeTar, MirrorError> {
    let opening = MirrorError::local(format!("opening {}", root.display()));
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::PATH;
    let folder = rustix::fs::openat(CWD, root, flags, Mode::empty()).map_err(|e| opening(e.into()))?;
    let writing = || MirrorError::local(format!("writing a tar file in {}", scratch.display()));
    let mut out = Bounded { out: BufWriter::new(nameless(scratch).map_err(writing())?), left: limits.bytes };
    let Listed { paths, mut skipped } = listed;
    let mut members = 0;
    for path in paths {
        let poured = add(&folder, &path, &mut out);
        if out.left == 0 {
            return Err(MirrorError::TooLarge { what: format!("the folder {}", root.display()), limit: limits.bytes });
        }
        match poured.map_err(MirrorError::local(format!("reading {}", String::from_utf8_lossy(&path))))? {
            Some(reason) => skipped.push(Skipped { path: String::from_utf8_lossy(&path).into_owned(), reason }),
            None => members += 1,
        }
    }
    finish(&mut out).map_err(writing())?;
    let file = out.out.into_inner().map_err(|e| writing()(e.into_error()))?;
    Ok(TreeTar { tar: seal(file).map_err(writing())?, members, skipped })
}

/// Adds one member, or says why not.
fn add(folder: &OwnedFd, path: &[u8], out: &mut Bounded) -> io::Result<Option<&'static str>> {
    let found = match openat2(folder, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), BENEATH) {
        Ok(found) => found,
        // A tracked file that was deleted is part of no build.
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(Some("deleted")),
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::XDEV) => return Ok(Some("behind a link")),
        Err(e) => return Err(e.into()),
    };
    let stat = fstat(&found)?;
    let mtime = u64::try_from(stat.st_mtime).unwrap_or(0);
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => header(out, path, Member::Dir, mtime)?,
        FileType::Symlink => {
            let target = readlinkat(&found, "", Vec::new())?;
            header(out, path, Member::Link { target: target.to_bytes() }, mtime)?;
        }
        FileType::RegularFile => return add_file(folder, path, out),
        FileType::Socket => return Ok(Some("a socket")),
        FileType::Fifo => return Ok(Some("a pipe")),
        _ => return Ok(Some("a device")),
    }
    Ok(None)
}

fn add_file(folder: &OwnedFd, path: &[u8], out: &mut Bounded) -> io::Result<Option<&'static str>> {
    // NONBLOCK, for the case that the file has just become a pipe.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat2(folder, path, flags, Mode::empty(), BENEATH) {
        Ok(file) => file,
        Err(rustix::io::Errno::ACCESS) => return Ok(Some("not readable")),
        Err(e) => return Err(e.into()),
    };
    let stat: Stat = fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(Some("changed while it was read"));
    }
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let executable = stat.st_mode & 0o100 != 0;
    header(out, path, Member::File { size, executable }, u64::try_from(stat.st_mtime).unwrap_or(0))?;
    body(out, &mut File::from(file), size)?;
    Ok(None)
}

/// Lets through so many bytes, then fails.
struct Bounded {
    out: BufWriter<File>,
    left: u64,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 >= self.left {
            self.left = 0;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let n = self.out.write(bytes)?;
        self.left -= n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
