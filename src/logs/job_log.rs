//! The whole log of a job: all its streams in order of time, as one file that nobody writes.
use std::path::Path;

use danube_shim::index::Record;

use super::merge::cut_before;
use super::pieces::Reader;
use super::stream_file::{READ_LIMIT, StreamFile};
use super::{LogError, Stream, StreamName};

/// How many records of one stream are looked at ahead.
const AHEAD: u64 = 64;

/// The streams of a job as they were when this was opened. Where all of them have ended, every
/// later opening gives the same bytes.
pub struct JobLog {
    streams: Vec<(StreamName, Reader)>,
    length: u64,
}

/// Bytes of one stream within the job's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobPiece {
    /// Where they are in the job's log.
    pub offset: u64,
    /// Whose they are.
    pub name: StreamName,
    /// Who wrote them.
    pub stream: Stream,
    /// When, in nanoseconds since 1970.
    pub time_ns: i64,
    /// Never empty; hostile.
    pub bytes: Vec<u8>,
}

impl JobLog {
    /// Opens all streams in a job's log directory; one that is missing has none.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        let mut streams = Vec::new();
        let mut length = 0;
        for name in names(dir)? {
            if let Some(reader) = Reader::open(&StreamFile::new(dir, name))? {
                length += reader.offset(reader.count)?;
                streams.push((name, reader));
            }
        }
        Ok(Self { streams, length })
    }

    /// How long the job's log is, in bytes.
    pub fn total_len(&self) -> u64 {
        self.length
    }

    /// The bytes from `offset`, at most `length` and at most 4 MiB; fewer where the log ends.
    pub fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, LogError> {
        let pieces = self.pieces(offset, length)?;
        Ok(pieces.into_iter().flat_map(|piece| piece.bytes).collect())
    }

    /// The same, and who wrote what and when.
    pub fn pieces(&self, offset: u64, length: usize) -> Result<Vec<JobPiece>, LogError> {
        let mut cursors = Vec::with_capacity(self.streams.len());
        let cut = cut_before(&self.streams, offset)?;
        for ((_, reader), n) in self.streams.iter().zip(cut.records) {
            let mut cursor = Cursor { reader, next: n, ahead: Vec::new().into_iter(), record: None };
            cursor.advance()?;
            cursors.push(cursor);
        }
        let end = offset.saturating_add(length.min(READ_LIMIT) as u64).min(self.length);
        let mut at = cut.bytes;
        let mut pieces = Vec::new();
        while at < end {
            let first = cursors.iter().enumerate().filter_map(|(n, cursor)| Some((cursor.record?, n)));
            // Of two streams at the same moment, the one with the lower name.
            let Some((record, n)) = first.min_by_key(|(record, n)| (record.time_ns, *n)) else { break };
            let next = at + u64::from(record.length);
            let (from, to) = (at.max(offset), next.min(end));
            if from < to {
                let (name, reader) = &self.streams[n];
                let bytes = reader.bytes(record.offset + (from - at), (to - from) as usize)?;
                let (stream, time_ns) = (record.stream, record.time_ns);
                pieces.push(JobPiece { offset: from, name: *name, stream, time_ns, bytes });
            }
            at = next;
            cursors[n].advance()?;
        }
        Ok(pieces)
    }
}

struct Cursor<'a> {
    reader: &'a Reader,
    next: u64,
    ahead: std::vec::IntoIter<Record>,
    record: Option<Record>,
}

impl Cursor<'_> {
    fn advance(&mut self) -> Result<(), LogError> {
        self.record = self.ahead.next();
        while self.record.is_none() && self.next < self.reader.count {
            self.ahead = self.reader.records(self.next, AHEAD)?.into_iter();
            self.next += AHEAD;
            self.record = self.ahead.next();
        }
        Ok(())
    }
}

fn names(dir: &Path) -> Result<Vec<StreamName>, LogError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LogError::io("list", dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(LogError::io("list", dir))?.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(".log"));
        names.extend(name.and_then(|name| name.parse::<StreamName>().ok()));
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Job;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn streams_are_told_in_order_of_time() {
        let job = Job::new();
        job.append("0.1", Stream::Note, 5, "start\n");
        job.append("1.1", Stream::Stdout, 10, "a1\n");
        job.append("2.1", Stream::Stdout, 15, "b1\n");
        job.append("1.1", Stream::Stderr, 20, "a2\n");
        job.append("10.1", Stream::Stdout, 20, "c1\n");
        let log = JobLog::open(job.dir()).unwrap();
        assert_eq!(log.read_at(0, 100).unwrap(), b"start\na1\nb1\na2\nc1\n");
        assert_eq!(log.total_len(), 18);
        let pieces = log.pieces(9, 6).unwrap();
        let named: Vec<(String, u64)> = pieces.iter().map(|p| (p.name.to_string(), p.offset)).collect();
        assert_eq!(named, [("2.1".to_owned(), 9), ("1.1".to_owned(), 12)]);
    }

    #[test]
    fn a_job_without_logs_has_an_empty_one() {
        let job = Job::new();
        assert_eq!(JobLog::open(&job.dir().join("none")).unwrap().total_len(), 0);
        job.stream("1.1").create().unwrap();
        let log = JobLog::open(job.dir()).unwrap();
        assert_eq!(log.read_at(0, 10).unwrap(), b"");
    }

    #[test]
    fn bytes_without_an_index_and_an_index_without_bytes_are_left_out() {
        let job = Job::new();
        job.append("1.1", Stream::Stdout, 1, "seen\n");
        job.append_index_only("1.1", 5, 2, 100);
        job.append("2.1", Stream::Stdout, 3, "too\n");
        job.append_log_only("2.1", "unindexed");
        let log = JobLog::open(job.dir()).unwrap();
        assert_eq!(log.read_at(0, 100).unwrap(), b"seen\ntoo\n");
        assert_eq!(log.total_len(), 9);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_range_is_that_part_of_the_whole(
            writes in prop::collection::vec((0u32..4, 0i64..4, "[a-z\n]{1,9}"), 1..60),
            offset in 0u64..300,
            length in 0usize..300,
        ) {
            let job = Job::new();
            let mut time = 0;
            let mut expected: Vec<(i64, u32, String)> = Vec::new();
            for (step, later, text) in writes {
                time += later;
                job.append(&format!("{step}.1"), Stream::Stdout, time, &text);
                expected.push((time, step, text));
            }
            expected.sort_by_key(|(time, step, _)| (*time, *step));
            let whole: String = expected.into_iter().map(|(_, _, text)| text).collect();
            let log = JobLog::open(job.dir()).unwrap();
            prop_assert_eq!(log.total_len(), whole.len() as u64);
            let start = whole.len().min(offset as usize);
            let end = whole.len().min(start + length);
            let got = String::from_utf8(log.read_at(offset, length).unwrap()).unwrap();
            prop_assert_eq!(got, &whole[start..end]);
        }

        #[test]
        fn damaged_files_are_read_without_harm(
            index: Vec<u8>,
            log: Vec<u8>,
            offset in 0u64..100,
        ) {
            let job = Job::new();
            job.stream("1.1").create().unwrap();
            std::fs::write(job.stream("1.1").index_path(), [&b"DNBIDX1\n"[..], &index].concat()).unwrap();
            std::fs::write(job.stream("1.1").log_path(), &log).unwrap();
            JobLog::open(job.dir()).unwrap().read_at(offset, 1000).unwrap();
            job.stream("1.1").lines(offset, 10).unwrap();
        }
    }
}
