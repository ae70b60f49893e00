//! A stream as the pieces in which it was written, found by its index.
use std::fs::File;
use std::path::PathBuf;

use danube_shim::index::{self, RECORD_LENGTH, Record};

use super::stream_file::{self, READ_LIMIT, StreamFile};
use super::{LogError, Stream};

/// How many records are read at once.
const BATCH: u64 = 1024;

/// Consecutive bytes of one stream that were written at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where they are in the log.
    pub offset: u64,
    /// Who wrote them.
    pub stream: Stream,
    /// When, in nanoseconds since 1970.
    pub time_ns: i64,
    /// Never empty; hostile, may end in the middle of a line or character.
    pub bytes: Vec<u8>,
}

impl Piece {
    /// The offset after its last byte: where to go on.
    pub fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

impl StreamFile {
    /// The pieces from `offset` on, at most `limit` bytes and at most 4 MiB; none at the end.
    pub fn pieces(&self, offset: u64, limit: usize) -> Result<Vec<Piece>, LogError> {
        let Some(reader) = Reader::open(self)? else { return Ok(Vec::new()) };
        reader.pieces(offset, limit.min(READ_LIMIT))
    }
}

/// Log and index of one stream, open, as long as they were at that time.
pub(super) struct Reader {
    log: File,
    log_path: PathBuf,
    log_length: u64,
    index: File,
    index_path: PathBuf,
    /// How many whole records there are.
    pub(super) count: u64,
}

impl Reader {
    /// `None` before the stream exists.
    pub(super) fn open(file: &StreamFile) -> Result<Option<Self>, LogError> {
        let (log_path, index_path) = (file.log_path(), file.index_path());
        let (Some(log), Some(index)) = (stream_file::open(&log_path)?, stream_file::open(&index_path)?) else {
            return Ok(None);
        };
        let length = |file: &File, path| {
            let file = file.metadata().map_err(LogError::io("look at", path))?;
            Ok(file.len())
        };
        // The index first: then each of its records but the last has its bytes.
        let count = index::count(length(&index, &index_path)?);
        let log_length = length(&log, &log_path)?;
        Ok(Some(Self { log, log_path, log_length, index, index_path, count }))
    }

    /// The records from `first` on, at most `limit` of them; a record of no use may be missing.
    pub(super) fn records(&self, first: u64, limit: u64) -> Result<Vec<Record>, LogError> {
        let wanted = self.count.saturating_sub(first).min(limit);
        // One more than wanted, where there is one: it says where the last one ends.
        let read = self.count.saturating_sub(first).min(limit + 1);
        let length = read as usize * RECORD_LENGTH;
        let bytes = stream_file::read_at(&self.index, &self.index_path, index::position(first), length)?;
        let last = match read > wanted {
            true => bytes.len().checked_sub(RECORD_LENGTH).and_then(|at| bytes[at..].first_chunk()),
            false => None,
        };
        let limit = last.map_or(self.log_length, |record| offset_in(record).min(self.log_length));
        let wanted = bytes.get(..wanted as usize * RECORD_LENGTH).unwrap_or(&bytes);
        Ok(index::records(wanted, limit).collect())
    }

    /// The time in the `n`-th record.
    pub(super) fn time(&self, n: u64) -> Result<i64, LogError> {
        let bytes = self.record_bytes(n)?;
        let (_, rest) = bytes.split_at(8);
        Ok(rest.first_chunk().map_or(i64::MAX, |time| i64::from_le_bytes(*time)))
    }

    /// Where the `n`-th piece begins; the end of what is both indexed and there for `n == count`.
    pub(super) fn offset(&self, n: u64) -> Result<u64, LogError> {
        if n < self.count {
            return Ok(offset_in(&self.record_bytes(n)?).min(self.log_length));
        }
        let Some(last) = self.count.checked_sub(1) else { return Ok(0) };
        let end = Record::from_bytes(&self.record_bytes(last)?).map_or(self.log_length, |record| record.end());
        Ok(end.min(self.log_length))
    }

    fn record_bytes(&self, n: u64) -> Result<[u8; RECORD_LENGTH], LogError> {
        let bytes = stream_file::read_at(&self.index, &self.index_path, index::position(n), RECORD_LENGTH)?;
        // A damaged file that shrank reads as a record of nothing.
        Ok(bytes.first_chunk().copied().unwrap_or([0xff; RECORD_LENGTH]))
    }

    /// The bytes of a part of the log.
    pub(super) fn bytes(&self, offset: u64, length: usize) -> Result<Vec<u8>, LogError> {
        stream_file::read_at(&self.log, &self.log_path, offset, length)
    }

    pub(super) fn pieces(&self, offset: u64, limit: usize) -> Result<Vec<Piece>, LogError> {
        let mut pieces = Vec::new();
        if self.count == 0 || limit == 0 {
            return Ok(pieces);
        }
        let end = self.offset(self.count)?.min(offset.saturating_add(limit as u64));
        let mut n = index::search(self.count, offset, |n| self.offset(n))?;
        let mut at = offset;
        while at < end && n < self.count {
            let records = self.records(n, BATCH)?;
            n += BATCH;
            let stop = records.last().map_or(at, Record::end).min(end);
            let bytes = self.bytes(at, stop.saturating_sub(at) as usize)?;
            for record in records.iter().filter(|record| record.end() > at) {
                let (from, to) = (record.offset.max(at), record.end().min(end));
                let Some(bytes) = bytes.get((from - at) as usize..to.saturating_sub(at) as usize) else { break };
                if !bytes.is_empty() {
                    let (stream, time_ns) = (record.stream, record.time_ns);
                    pieces.push(Piece { offset: from, stream, time_ns, bytes: bytes.to_vec() });
                }
            }
            at = stop.max(at);
        }
        Ok(pieces)
    }
}

fn offset_in(record: &[u8; RECORD_LENGTH]) -> u64 {
    record.first_chunk().map_or(0, |offset| u64::from_le_bytes(*offset))
}
