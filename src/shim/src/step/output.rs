//! The step's log and its index on disk.

use std::fs::File;
use std::io::{self, Write};
use std::rc::Rc;

use danube_shim::index::{self, Record, Stream};
use danube_shim::record::Records;
use danube_shim::{fault, sys};

/// Around each piece of a log.
const LOG: &str = "shim.log";
/// What a log leaves free on its disk, at most: the server, whose database may be beside it, must go on.
const RESERVE: u64 = 64 << 20;
/// What a log may take of that: a full disk must not silence the reason of a failure.
const LEAST: u64 = 64 << 10;
/// What is written out at once while the step still runs: less is left to wait for when it has ended.
const WRITTEN_OUT: u64 = 8 << 20;

/// Appends redacted bytes to a log, each piece's record before the piece.
///
/// It never fails: when the disk or the limit is full it goes on without writing, because a step
/// must not hang on its output.
pub(super) struct Output {
    log: File,
    index: File,
    records: Rc<Records>,
    /// The length of the log.
    offset: u64,
    /// How much of it is written out or on its way.
    on_its_way: u64,
    last_ns: i64,
    limit: u64,
    written: u64,
    lost: u64,
    full: bool,
    failure: Option<io::Error>,
    ends_with_newline: bool,
}

impl Output {
    /// Goes on at the end of a log, which is usually empty.
    pub(super) fn open(log: File, index: File, limit: u64, records: Rc<Records>) -> io::Result<Self> {
        let length = log.metadata()?.len();
        let mut output = Self {
            log,
            offset: length,
            on_its_way: length,
            index,
            records,
            last_ns: 0,
            limit,
            written: 0,
            lost: 0,
            full: false,
            failure: None,
            ends_with_newline: true,
        };
        let length = output.index.metadata()?.len();
        if length < index::HEADER.len() as u64 {
            output.index.set_len(0)?;
            output.index.write_all(index::HEADER)?;
        } else {
            // A record that was cut by a kill would shift all that follow.
            output.index.set_len(index::position(index::count(length)))?;
        }
        Ok(output)
    }

    /// Appends bytes of the step.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if self.full || self.failure.is_some() {
            self.lost += bytes.len() as u64;
            return;
        }
        let room = usize::try_from(self.limit.saturating_sub(self.written)).unwrap_or(usize::MAX);
        let (kept, over) = bytes.split_at(bytes.len().min(room));
        self.append(stream, kept);
        if !over.is_empty() && self.failure.is_none() {
            self.lost += over.len() as u64;
            self.full = true;
            let limit = size(self.limit);
            self.note(format!("danube: the log limit of {limit} is reached").as_bytes());
            // The executor ends the step when it sees the flag; without it the step only goes on
            // unlogged.
            let _ = self.records.set_overflow();
        }
    }

    /// Appends a line of Danube's own, whatever the limit says.
    pub(super) fn note(&mut self, line: &[u8]) {
        let mut bytes = Vec::with_capacity(line.len() + 2);
        if !self.ends_with_newline {
            bytes.push(b'\n');
        }
        bytes.extend(line.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
        bytes.push(b'\n');
        self.append(Stream::Note, &bytes);
    }

    fn append(&mut self, stream: Stream, bytes: &[u8]) {
        for piece in bytes.chunks(1 << 20) {
            if self.failure.is_some() {
                self.lost += piece.len() as u64;
                continue;
            }
            let result = if stream != Stream::Note && !self.has_room(piece.len() as u64) {
                self.lost += piece.len() as u64;
                Err(io::ErrorKind::StorageFull.into())
            } else {
                self.append_piece(stream, piece)
            };
            if let Err(error) = result {
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                    // The executor ends the step when it sees the flag.
                    let _ = self.records.set_disk_full();
                }
                self.failure = Some(error);
            }
        }
    }

    /// Whether the disk holds this and what is kept for others.
    fn has_room(&self, length: u64) -> bool {
        if self.written + length <= LEAST {
            return true;
        }
        // Where the disk does not tell, the write itself does.
        sys::room(&self.log).map_or(true, |(free, all)| free >= length + RESERVE.min(all / 20))
    }

    fn append_piece(&mut self, stream: Stream, piece: &[u8]) -> io::Result<()> {
        // The clock may be set back; the order of a log may not.
        self.last_ns = self.last_ns.max(sys::realtime_ns());
        let record = Record {
            offset: self.offset,
            time_ns: self.last_ns,
            length: u32::try_from(piece.len()).unwrap_or(u32::MAX),
            stream,
        };
        let length = self.index.metadata()?.len();
        if let Err(error) = fault::around("shim.index", || self.index.write_all(&record.to_bytes())) {
            let _ = self.index.set_len(length);
            self.lost += piece.len() as u64;
            return Err(error);
        }
        let mut rest = piece;
        while !rest.is_empty() {
            match fault::before(LOG).and_then(|()| self.log.write(rest)) {
                Ok(0) => break,
                Ok(count) => {
                    self.ends_with_newline = rest[count - 1] == b'\n';
                    self.offset += count as u64;
                    self.written += count as u64;
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.lost += rest.len() as u64;
                    return Err(error);
                }
            }
        }
        fault::after(LOG);
        if self.offset - self.on_its_way >= WRITTEN_OUT {
            sys::begin_writing_out(&self.log, self.on_its_way, self.offset);
            self.on_its_way = self.offset;
        }
        Ok(())
    }

    /// Says what is missing and makes the log durable.
    pub(super) fn close(&mut self) {
        if let Some(error) = self.failure.take() {
            let lost = self.lost;
            let line = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    format!("danube: the disk of the logs is full; {lost} bytes are missing")
                }
                _ => format!("danube: the log could not be written ({error}); {lost} bytes are missing"),
            };
            self.note(line.as_bytes());
        }
        for file in [&self.log, &self.index] {
            if fault::around("shim.sync", || file.sync_data()).is_err() {
                self.lost += 1;
            }
        }
    }

    /// The length of the log.
    pub(super) fn length(&self) -> u64 {
        self.offset
    }

    /// Whether output is missing.
    pub(super) fn is_truncated(&self) -> bool {
        self.lost > 0
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{bytes} bytes"),
        _ => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, OpenOptions};
    use std::path::Path;

    fn append(path: &Path) -> File {
        OpenOptions::new().append(true).create(true).open(path).unwrap()
    }

    fn open(dir: &Path, limit: u64) -> Output {
        fs::create_dir_all(dir.join("rec")).unwrap();
        let records = Rc::new(Records::open(dir).unwrap());
        let (log, index) = (append(&dir.join("log")), append(&dir.join("idx")));
        Output::open(log, index, limit, records).unwrap()
    }

    fn pieces(dir: &Path) -> Vec<(Stream, String)> {
        let log = fs::read(dir.join("log")).unwrap();
        index::records(&fs::read(dir.join("idx")).unwrap(), log.len() as u64)
            .map(|record| {
                let bytes = &log[record.offset as usize..record.end() as usize];
                (record.stream, String::from_utf8(bytes.to_vec()).unwrap())
            })
            .collect()
    }

    #[test]
    fn each_piece_of_a_log_has_its_record() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = open(dir.path(), 100);
        output.note(b"danube: hello");
        output.write(Stream::Stdout, b"out");
        output.write(Stream::Stderr, b"err\n");
        output.close();
        assert!(!output.is_truncated());
        assert_eq!(
            pieces(dir.path()),
            [
                (Stream::Note, "danube: hello\n".to_owned()),
                (Stream::Stdout, "out".to_owned()),
                (Stream::Stderr, "err\n".to_owned())
            ]
        );
    }

    #[test]
    fn a_full_log_says_so_and_raises_the_flag() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = open(dir.path(), 4);
        output.write(Stream::Stdout, b"abcdef");
        output.write(Stream::Stdout, b"gh");
        output.close();
        assert!(output.is_truncated());
        assert_eq!(
            fs::read_to_string(dir.path().join("log")).unwrap(),
            "abcd\ndanube: the log limit of 4 bytes is reached\n"
        );
        assert!(Records::open(dir.path()).unwrap().overflowed());
    }

    #[test]
    fn a_log_is_continued_where_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), 100).write(Stream::Stdout, b"one");
        append(&dir.path().join("idx")).write_all(b"half").unwrap();
        open(dir.path(), 100).write(Stream::Stderr, b"two");
        assert_eq!(pieces(dir.path()), [(Stream::Stdout, "one".to_owned()), (Stream::Stderr, "two".to_owned())]);
    }

    #[test]
    fn a_log_that_is_written_out_while_it_grows_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = open(dir.path(), u64::MAX);
        let piece = vec![b'x'; 300 << 10];
        let times = 2 * WRITTEN_OUT as usize / piece.len() + 1;
        (0..times).for_each(|_| output.write(Stream::Stdout, &piece));
        assert!(output.on_its_way > WRITTEN_OUT);
        output.close();
        assert!(!output.is_truncated());
        let all = pieces(dir.path());
        assert_eq!((all.len(), all.iter().map(|(_, text)| text.len()).sum()), (times, times * piece.len()));
    }

    #[test]
    fn a_disk_that_is_full_loses_output_but_not_the_step() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = open(dir.path(), 100);
        output.log = OpenOptions::new().write(true).open("/dev/full").unwrap();
        output.write(Stream::Stdout, b"abc");
        output.write(Stream::Stdout, b"def");
        output.close();
        assert!(output.is_truncated());
        assert_eq!(output.length(), 0);
        assert_eq!(pieces(dir.path()), []);
        assert!(Records::open(dir.path()).unwrap().disk_was_full());
    }
}
