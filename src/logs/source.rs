//! The bytes of a log, at any offset.
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::LogError;
use super::stream_file::{self, StreamFile};

/// Something with bytes at offsets.
pub(super) trait Source {
    /// How long it is now.
    fn len(&self) -> Result<u64, LogError>;
    /// Fills the buffer from `at`; fewer bytes only at the end.
    fn fill(&self, at: u64, buffer: &mut [u8]) -> Result<usize, LogError>;
}

/// A log on disk, open.
pub(super) struct LogFile {
    file: File,
    path: PathBuf,
}

impl LogFile {
    /// `None` before the stream exists.
    pub(super) fn open(stream: &StreamFile) -> Result<Option<Self>, LogError> {
        let path = stream.log_path();
        Ok(stream_file::open(&path)?.map(|file| Self { file, path }))
    }
}

impl Source for LogFile {
    fn len(&self) -> Result<u64, LogError> {
        Ok(self.file.metadata().map_err(LogError::io("look at", &self.path))?.len())
    }

    fn fill(&self, at: u64, buffer: &mut [u8]) -> Result<usize, LogError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(LogError::io("read", &self.path)(error)),
            }
        }
        Ok(filled)
    }
}

/// A log that no disk could hold for a test: every line is its number, 64 bytes long.
#[cfg(test)]
pub(super) struct Made {
    pub(super) lines: u64,
    pub(super) read: std::cell::Cell<u64>,
}

#[cfg(test)]
impl Made {
    pub(super) const LINE: u64 = 64;

    pub(super) fn new(lines: u64) -> Self {
        Self { lines, read: std::cell::Cell::new(0) }
    }
}

#[cfg(test)]
impl Source for Made {
    fn len(&self) -> Result<u64, LogError> {
        Ok(self.lines * Self::LINE)
    }

    fn fill(&self, at: u64, buffer: &mut [u8]) -> Result<usize, LogError> {
        let count = usize::try_from(self.len()?.saturating_sub(at)).unwrap().min(buffer.len());
        self.read.set(self.read.get() + count as u64);
        let mut done = 0;
        while done < count {
            let offset = at + done as u64;
            let line = format!("{:063}\n", offset / Self::LINE + 1);
            let rest = &line.as_bytes()[(offset % Self::LINE) as usize..];
            let part = rest.len().min(count - done);
            buffer[done..done + part].copy_from_slice(&rest[..part]);
            done += part;
        }
        Ok(count)
    }
}
