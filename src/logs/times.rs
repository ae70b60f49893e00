//! When the bytes at an offset were written, and by whom.
use danube_shim::index::{self, Record};

use super::pieces::Reader;
use super::{LogError, Stream};

/// Records read at once.
const BATCH: u64 = 256;

/// Answers for rising offsets with few reads.
pub(super) struct Times {
    reader: Option<Reader>,
    batch: Vec<Record>,
}

impl Times {
    pub(super) fn new(reader: Option<Reader>) -> Self {
        Self { reader, batch: Vec::new() }
    }

    /// None where the index does not reach.
    pub(super) fn at(&mut self, offset: u64) -> Result<Option<(i64, Stream)>, LogError> {
        if let Some(found) = self.known(offset) {
            return Ok(Some(found));
        }
        let Some(reader) = &self.reader else { return Ok(None) };
        let n = index::search(reader.count, offset, |n| reader.offset(n))?;
        self.batch = reader.records(n, BATCH)?;
        Ok(self.known(offset))
    }

    fn known(&self, offset: u64) -> Option<(i64, Stream)> {
        let at = self.batch.partition_point(|record| record.offset <= offset).checked_sub(1)?;
        let record = self.batch.get(at).filter(|record| offset < record.end())?;
        Some((record.time_ns, record.stream))
    }
}
