//! Bringing a file or a directory into a workspace.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use danube_shim::transfer::{self, Kind};
use danube_shim::{frame, sys};

use super::Problem;
use super::path::{beneath, explain, make_dirs};
use super::unpack::{Links, unpack};

/// Reads the header and puts what follows below `to`.
pub(super) fn run(to: &OsStr, mut from: File) -> Result<(), Problem> {
    let header: transfer::Item = frame::read(&mut from, frame::HEADER_LIMIT).map_err(|error| error.to_string())?;
    let root = super::workspace()?;
    let path = beneath(to)?;
    let dir = make_dirs(&root, &path).map_err(|error| explain(&path, &error))?;
    let mut from = Counted { from, count: 0 };
    match header.kind {
        Kind::File => file(&dir, &path, &header, &mut from),
        Kind::Dir => {
            unpack(&mut from, &dir, &path, Links::MustStayInside)?;
            // What pads the end of a tar belongs to its length too.
            io::copy(&mut from, &mut io::sink()).map_err(|error| explain(&path, &error))?;
            from.complete(header.size, &path)
        }
    }
}

fn file(dir: &File, path: &Path, header: &transfer::Item, from: &mut Counted) -> Result<(), Problem> {
    let name = header.name.as_str();
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(format!("{name:?} is not a name that a file can get"));
    }
    let shown = path.join(name);
    let temporary = format!(".danube-import-{}", std::process::id());
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
    let write = |from: &mut Counted| {
        let mut file = sys::open_at(dir, temporary.as_ref(), flags, 0o644).map_err(|error| explain(&shown, &error))?;
        io::copy(from, &mut file).map_err(|error| explain(&shown, &error))?;
        from.complete(header.size, &shown)?;
        sys::rename_at(dir, temporary.as_ref(), name.as_ref()).map_err(|error| explain(&shown, &error))
    };
    let result = write(from);
    if result.is_err() {
        // Half a file helps nobody; when it cannot be removed it still has a name of its own.
        let _ = sys::unlink_at(dir, temporary.as_ref());
    }
    result
}

struct Counted {
    from: File,
    count: u64,
}

impl Counted {
    fn complete(&self, size: Option<u64>, shown: &Path) -> Result<(), Problem> {
        match size {
            Some(size) if size != self.count => {
                Err(format!("{}: {} of {size} bytes arrived", shown.display(), self.count))
            }
            _ => Ok(()),
        }
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}
