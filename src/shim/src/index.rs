//! The index of a log: when each piece of it was written, and by which stream.
//!
//! Eight bytes of header, then records of 24 bytes, little-endian: offset `u64`, time `i64` in
//! nanoseconds since 1970, length `u32`, stream `u8`, three zero bytes. A record is written before
//! its bytes, so a reader believes the shorter of index and log.

/// The first bytes of an index.
pub const HEADER: &[u8; 8] = b"DNBIDX1\n";
/// The length of one record.
pub const RECORD_LENGTH: usize = 24;

/// Who wrote a piece of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// The step's standard output.
    Stdout,
    /// The step's standard error.
    Stderr,
    /// Danube itself.
    Note,
}

impl Stream {
    /// The byte in the record.
    pub fn code(self) -> u8 {
        match self {
            Self::Stdout => 1,
            Self::Stderr => 2,
            Self::Note => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Stdout,
            2 => Self::Stderr,
            3 => Self::Note,
            _ => return None,
        })
    }
}

/// One piece of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Where it starts in the log.
    pub offset: u64,
    /// When it was written, in nanoseconds since 1970; never less than the record before.
    pub time_ns: i64,
    /// How many bytes it has.
    pub length: u32,
    /// Who wrote it.
    pub stream: Stream,
}

impl Record {
    /// The record as it lies in the file.
    pub fn to_bytes(self) -> [u8; RECORD_LENGTH] {
        let mut bytes = [0; RECORD_LENGTH];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.time_ns.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.length.to_le_bytes());
        bytes[20] = self.stream.code();
        bytes
    }

    /// The record in these bytes; `None` for a stream this release does not know.
    pub fn from_bytes(bytes: &[u8; RECORD_LENGTH]) -> Option<Self> {
        let (offset, rest) = bytes.split_first_chunk()?;
        let (time_ns, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        Some(Self {
            offset: u64::from_le_bytes(*offset),
            time_ns: i64::from_le_bytes(*time_ns),
            length: u32::from_le_bytes(*length),
            stream: Stream::from_code(*rest.first()?)?,
        })
    }

    /// The first byte of the log after this piece.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.length))
    }
}

/// Where the `n`-th record begins in the file.
pub fn position(n: u64) -> u64 {
    HEADER.len() as u64 + n * RECORD_LENGTH as u64
}

/// How many whole records a file of this length has.
pub fn count(file_length: u64) -> u64 {
    file_length.saturating_sub(HEADER.len() as u64) / RECORD_LENGTH as u64
}

/// The records in an index (or in a run of whole records of it), as far as the log reaches.
///
/// `log_length` clips the last ones; a piece that was cut short by a full disk ends where the next
/// one begins.
pub fn records(bytes: &[u8], log_length: u64) -> impl Iterator<Item = Record> + '_ {
    let body = bytes.strip_prefix(HEADER).unwrap_or(bytes);
    let (whole, _cut) = body.as_chunks::<RECORD_LENGTH>();
    whole.iter().enumerate().filter_map(move |(n, chunk)| {
        let record = Record::from_bytes(chunk)?;
        let limit =
            whole.get(n + 1).and_then(Record::from_bytes).map_or(log_length, |next| next.offset.min(log_length));
        let room = limit.saturating_sub(record.offset);
        let length = record.length.min(u32::try_from(room).unwrap_or(u32::MAX));
        (length > 0).then_some(Record { length, ..record })
    })
}

/// The number of the record that holds `offset`, or of the first one after it.
///
/// `offset_of(n)` gives the offset in the `n`-th of `count` records; the search asks for about
/// log2(count) of them.
pub fn search<E>(count: u64, offset: u64, mut offset_of: impl FnMut(u64) -> Result<u64, E>) -> Result<u64, E> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if offset_of(middle)? <= offset {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(pieces: &[(u64, u32)]) -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        for (n, (offset, length)) in pieces.iter().enumerate() {
            let record = Record { offset: *offset, time_ns: n as i64, length: *length, stream: Stream::Stdout };
            bytes.extend_from_slice(&record.to_bytes());
        }
        bytes
    }

    fn spans(bytes: &[u8], log_length: u64) -> Vec<(u64, u32)> {
        records(bytes, log_length).map(|record| (record.offset, record.length)).collect()
    }

    #[test]
    fn version_1_of_a_record_is_pinned() {
        let record = Record { offset: 0x0102, time_ns: -2, length: 3, stream: Stream::Note };
        let bytes = record.to_bytes();
        assert_eq!(bytes, *b"\x02\x01\0\0\0\0\0\0\xfe\xff\xff\xff\xff\xff\xff\xff\x03\0\0\0\x03\0\0\0");
        assert_eq!(Record::from_bytes(&bytes), Some(record));
        assert_eq!(HEADER, b"DNBIDX1\n");
    }

    #[test]
    fn a_reader_believes_the_shorter_of_index_and_log() {
        let bytes = file(&[(0, 10), (10, 5), (15, 7)]);
        assert_eq!(spans(&bytes, 22), [(0, 10), (10, 5), (15, 7)]);
        assert_eq!(spans(&bytes, 12), [(0, 10), (10, 2)]);
        assert_eq!(spans(&bytes[..bytes.len() - 1], 22), [(0, 10), (10, 5)]);
        assert_eq!(spans(&bytes[..5], 22), []);
    }

    #[test]
    fn a_piece_cut_by_a_full_disk_ends_where_the_next_begins() {
        let bytes = file(&[(0, 10), (4, 6)]);
        assert_eq!(spans(&bytes, 10), [(0, 4), (4, 6)]);
    }

    #[test]
    fn the_record_of_an_offset_is_found() {
        let offsets = [0u64, 10, 15, 40];
        let find = |offset| search(4, offset, |n| Ok::<_, ()>(offsets[usize::try_from(n).unwrap()])).unwrap();
        assert_eq!([find(0), find(9), find(10), find(39), find(400)], [0, 0, 1, 2, 3]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>, length: u64) {
            for record in records(&bytes, length) {
                prop_assert!(record.end() <= length);
            }
        }
    }
}
