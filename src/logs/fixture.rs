//! A job's log directory for tests, written as a shim would.
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use danube_shim::index::{HEADER, Record};
use tempfile::TempDir;

use super::{Stream, StreamFile};

pub(super) struct Job(TempDir);

impl Job {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn dir(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn stream(&self, name: &str) -> StreamFile {
        StreamFile::new(self.dir(), name.parse().unwrap())
    }

    /// A record and its bytes.
    pub(super) fn append(&self, name: &str, stream: Stream, time_ns: i64, text: &str) {
        let offset = self.stream(name).len().unwrap();
        self.index(name, Record { offset, time_ns, length: text.len() as u32, stream });
        self.append_log_only(name, text);
    }

    pub(super) fn append_index_only(&self, name: &str, offset: u64, time_ns: i64, length: u32) {
        self.index(name, Record { offset, time_ns, length, stream: Stream::Stdout });
    }

    pub(super) fn append_log_only(&self, name: &str, text: &str) {
        let path = self.stream(name).log_path();
        let mut log = OpenOptions::new().append(true).create(true).open(path).unwrap();
        log.write_all(text.as_bytes()).unwrap();
    }

    fn index(&self, name: &str, record: Record) {
        let path = self.stream(name).index_path();
        let mut index = OpenOptions::new().append(true).create(true).open(path).unwrap();
        if index.metadata().unwrap().len() == 0 {
            index.write_all(HEADER).unwrap();
        }
        index.write_all(&record.to_bytes()).unwrap();
    }
}
