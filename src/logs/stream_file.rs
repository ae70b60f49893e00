//! One stream on disk: `<step>.<attempt>.log` and its `.idx`.
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{LogError, StreamName};
use crate::platform::fault;

/// Around the making of a stream's two files.
const POINT: &str = "logs.create";

/// How much is read at once while hashing.
const CHUNK: usize = 1 << 20;

/// The most that one call reads, in bytes.
pub(super) const READ_LIMIT: usize = 4 << 20;

/// Where a stream lies. It need not exist yet: then it is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamFile {
    dir: PathBuf,
    name: StreamName,
}

/// The hash of a stream; `sha256sum` of its `.log` prints the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hash {
    /// SHA-256, in lower-case hex.
    pub sha256: String,
    /// How many bytes were hashed.
    pub bytes: u64,
}

impl StreamFile {
    /// The stream of that name in a job's log directory.
    pub fn new(dir: impl Into<PathBuf>, name: StreamName) -> Self {
        Self { dir: dir.into(), name }
    }

    /// Its name.
    pub fn name(&self) -> StreamName {
        self.name
    }

    /// The `.log` file: plain, redacted bytes.
    pub fn log_path(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.name))
    }

    /// The `.idx` file.
    pub fn index_path(&self) -> PathBuf {
        self.dir.join(format!("{}.idx", self.name))
    }

    /// Opens log and index for appending, and makes them where they are missing: what a shim gets.
    /// A second call meets the same files.
    pub fn create(&self) -> Result<(File, File), LogError> {
        let made = fault::before(POINT).and_then(|()| make(&self.dir));
        made.map_err(LogError::io("make", &self.dir))?;
        let open = |path: PathBuf| {
            let mut options = OpenOptions::new();
            let file = options.append(true).create(true).mode(0o640).open(&path);
            file.map_err(LogError::io("open", &path))
        };
        let files = (open(self.log_path())?, open(self.index_path())?);
        // The names survive a loss of power before anybody is told that the step may start.
        let dir = File::open(&self.dir).and_then(|dir| dir.sync_all());
        dir.map_err(LogError::io("sync", &self.dir))?;
        fault::after(POINT);
        Ok(files)
    }

    /// How long the log is now, in bytes.
    pub fn len(&self) -> Result<u64, LogError> {
        let path = self.log_path();
        match std::fs::metadata(&path) {
            Ok(file) => Ok(file.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(LogError::io("look at", &path)(error)),
        }
    }

    /// Whether nothing was logged yet.
    pub fn is_empty(&self) -> Result<bool, LogError> {
        self.len().map(|length| length == 0)
    }

    /// The bytes from `offset`, at most `length` and at most 4 MiB; fewer where the log ends.
    pub fn read_range(&self, offset: u64, length: usize) -> Result<Vec<u8>, LogError> {
        match open(&self.log_path())? {
            Some(log) => read_at(&log, &self.log_path(), offset, length.min(READ_LIMIT)),
            None => Ok(Vec::new()),
        }
    }

    /// The hash of the log as it is now; meaningful once the stream has ended.
    pub fn sha256(&self) -> Result<Hash, LogError> {
        let path = self.log_path();
        let mut hasher = Sha256::new();
        let mut bytes = 0;
        if let Some(mut log) = open(&path)? {
            let mut buffer = vec![0; CHUNK];
            loop {
                match log.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => {
                        hasher.update(&buffer[..count]);
                        bytes += count as u64;
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(LogError::io("read", &path)(error)),
                }
            }
        }
        Ok(Hash { sha256: hex::encode(hasher.finalize()), bytes })
    }
}

/// Makes the directory, and none above it: where the data directory is not in its place, no other one is begun there.
fn make(dir: &Path) -> std::io::Result<()> {
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Opens a file that may not exist yet.
pub(super) fn open(path: &Path) -> Result<Option<File>, LogError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LogError::io("open", path)(error)),
    }
}

/// Reads up to `length` bytes, fewer only at the end of the file.
pub(super) fn read_at(file: &File, path: &Path, offset: u64, length: usize) -> Result<Vec<u8>, LogError> {
    let size = file.metadata().map_err(LogError::io("look at", path))?.len();
    let there = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length.min(there)];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(LogError::io("read", path)(error)),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Job;
    use super::*;
    use std::io::Write;

    #[test]
    fn the_hash_is_that_of_the_plain_file() {
        let job = Job::new();
        assert_eq!(job.stream("1.1").sha256().unwrap().bytes, 0);
        job.append_log_only("1.1", "abc");
        let hash = job.stream("1.1").sha256().unwrap();
        assert_eq!(hash.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hash.bytes, 3);
    }

    #[test]
    fn making_a_stream_again_keeps_what_it_has() {
        let job = Job::new();
        let stream = StreamFile::new(job.dir().join("7"), "0.1".parse().unwrap());
        stream.create().unwrap().0.write_all(b"one").unwrap();
        stream.create().unwrap().0.write_all(b"two").unwrap();
        assert_eq!(stream.read_range(2, 3).unwrap(), b"etw");
        assert_eq!(stream.read_range(100, 3).unwrap(), b"");
    }

    #[test]
    fn no_other_place_is_begun_where_the_directory_of_all_logs_is_gone() {
        let job = Job::new();
        let stream = StreamFile::new(job.dir().join("gone/7"), "0.1".parse().unwrap());
        assert!(stream.create().is_err());
        assert!(!job.dir().join("gone").exists());
    }
}
