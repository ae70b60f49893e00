use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

use super::error::io_error;
use super::{Digest, Error, Name};
use crate::platform::{atomic, fault};

/// Marks a file that is still being written; a digest never begins like this.
pub(super) const INCOMING: &str = "incoming-";

/// Between the last byte and the artifact's name.
const POINT: &str = "artifacts.commit";

/// What the stored bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One file, as it was in the workspace.
    File,
    /// A directory as a canonical tar: sorted, times and owners zero.
    Tar,
}

impl Kind {
    /// The word in rows and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Tar => "tar",
        }
    }
}

/// A committed artifact: what the job's row records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The name that people see.
    pub name: Name,
    /// Digest of the stored bytes, which is also their file name.
    pub sha256: Digest,
    /// Number of stored bytes.
    pub size: u64,
    /// Whether the bytes are a file or a directory's tar.
    pub kind: Kind,
}

/// An artifact on its way in. Dropping it without a commit leaves nothing behind.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    temp: PathBuf,
    file: File,
    hasher: Sha256,
    size: u64,
    limit: u64,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Open,
    Failed,
    Committed,
}

/// Starts an artifact of at most `limit` bytes in the job's directory, which is made if missing.
pub fn begin(dir: &Path, limit: u64) -> Result<Writer, Error> {
    make_dir(dir)?;
    let (temp, file) = create_temp(dir)?;
    Ok(Writer { dir: dir.to_owned(), temp, file, hasher: Sha256::new(), size: 0, limit, state: State::Open })
}

impl Writer {
    /// Appends bytes. After an error the writer can only be dropped.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.state != State::Open {
            return Err(Error::Incomplete);
        }
        // A half-written artifact must never be committed, whatever the caller does next.
        self.state = State::Failed;
        let size = self.size.saturating_add(bytes.len() as u64);
        if size > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        fault::around("artifacts.write", || self.file.write_all(bytes)).map_err(io_error("write to", &self.temp))?;
        self.hasher.update(bytes);
        self.size = size;
        self.state = State::Open;
        Ok(())
    }

    /// Appends everything that a reader yields, in pieces of 64 KiB.
    pub fn copy_from(&mut self, reader: &mut impl Read) -> Result<(), Error> {
        let mut piece = vec![0; 64 * 1024];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(n) => self.write(&piece[..n])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    self.state = State::Failed;
                    return Err(Error::Io { action: "receive the bytes of", path: self.temp.clone(), source });
                }
            }
        }
    }

    /// Makes the artifact appear. When this returns, file and name survive a power cut.
    pub fn commit(mut self, name: Name, kind: Kind) -> Result<Stored, Error> {
        if self.state != State::Open {
            return Err(Error::Incomplete);
        }
        fault::before(POINT).and_then(|()| self.file.sync_all()).map_err(io_error("sync", &self.temp))?;
        let sha256 = Digest::finish(self.hasher.clone());
        // The same bytes may be there already under another name: replacing them changes nothing.
        fs::rename(&self.temp, self.dir.join(sha256.to_string())).map_err(io_error("rename", &self.temp))?;
        self.state = State::Committed;
        sync_dir(&self.dir)?;
        fault::after(POINT);
        Ok(Stored { name, sha256, size: self.size, kind })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.state != State::Committed {
            // What cannot be removed now is removed by `sweep` at the next start.
            let _ = fs::remove_file(&self.temp);
        }
    }
}

pub(super) fn make_dir(dir: &Path) -> Result<(), Error> {
    if dir.is_dir() {
        return Ok(());
    }
    // None above it: where the data directory is not in its place, no other one is begun there.
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(io_error("create", dir)(error)),
        _ => {}
    }
    dir.ancestors().skip(1).take(2).filter(|above| above.is_dir()).try_for_each(sync_dir)
}

fn create_temp(dir: &Path) -> Result<(PathBuf, File), Error> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("{INCOMING}{}-{number}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((path, file)),
            // Left by a killed process that had our process id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io_error("create", &path)(error)),
        }
    }
}

pub(super) fn sync_dir(dir: &Path) -> Result<(), Error> {
    atomic::sync_dir(dir).map_err(io_error("sync", dir))
}

#[cfg(test)]
mod tests;
