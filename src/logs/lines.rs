//! A stream as lines, for people.
use super::stream_file::StreamFile;
use super::{LogError, Stream};

/// The longest line that is given in one part, in bytes.
const LONGEST: usize = 64 << 10;
/// How much is read at once while looking for the end of lines.
const CHUNK: u64 = 64 << 10;
/// How far back the beginning of the last lines is looked for.
const FARTHEST: u64 = 8 << 20;

/// One line, or a part of a line longer than 64 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it begins in the log.
    pub offset: u64,
    /// Who wrote its first byte.
    pub stream: Stream,
    /// When that was, in nanoseconds since 1970.
    pub time_ns: i64,
    /// Without the newline; hostile bytes.
    pub bytes: Vec<u8>,
    /// The newline was there: nothing will be added to this line.
    pub ended: bool,
    /// The offset after it and its newline: where to go on.
    pub next: u64,
}

impl StreamFile {
    /// The lines from `offset` on: at most `limit` of them, and at most 4 MiB. The last one may have
    /// no end yet.
    pub fn lines(&self, offset: u64, limit: usize) -> Result<Vec<Line>, LogError> {
        let mut lines: Vec<Line> = Vec::new();
        let mut at = offset;
        let budget = offset.saturating_add(super::stream_file::READ_LIMIT as u64);
        while at < budget {
            let pieces = self.pieces(at, CHUNK as usize)?;
            let Some(last) = pieces.last() else { break };
            at = last.end();
            for piece in &pieces {
                let mut offset = piece.offset;
                for part in piece.bytes.split_inclusive(|byte| *byte == b'\n') {
                    for part in part.chunks(LONGEST) {
                        let full = lines.len() == limit;
                        let open = lines.last_mut().filter(|line| !line.ended && line.bytes.len() < LONGEST);
                        let next = offset + part.len() as u64;
                        let text = part.strip_suffix(b"\n");
                        match open {
                            Some(line) => {
                                line.bytes.extend_from_slice(text.unwrap_or(part));
                                line.ended = text.is_some();
                                line.next = next;
                            }
                            None if full => return Ok(lines),
                            None => lines.push(Line {
                                offset,
                                stream: piece.stream,
                                time_ns: piece.time_ns,
                                bytes: text.unwrap_or(part).to_vec(),
                                ended: text.is_some(),
                                next,
                            }),
                        }
                        offset = next;
                    }
                }
            }
        }
        Ok(lines)
    }

    /// Where the last `count` lines before `end` begin; looks back 8 MiB at most, so that a log of
    /// any size opens at its end at once.
    pub fn last_lines(&self, end: u64, count: usize) -> Result<u64, LogError> {
        let end = end.min(self.len()?);
        let floor = end.saturating_sub(FARTHEST);
        let mut found = 0;
        let mut stop = end;
        while stop > floor {
            let start = stop.saturating_sub(CHUNK).max(floor);
            let bytes = self.read_range(start, (stop - start) as usize)?;
            for (at, byte) in bytes.iter().enumerate().rev() {
                let after = start + at as u64 + 1;
                // The newline that ends the last line begins none.
                if *byte == b'\n' && after < end {
                    found += 1;
                    if found >= count {
                        return Ok(after);
                    }
                }
            }
            stop = start;
        }
        Ok(floor)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Job;
    use super::*;

    fn texts(lines: &[Line]) -> Vec<(&str, bool)> {
        lines.iter().map(|line| (str::from_utf8(&line.bytes).unwrap(), line.ended)).collect()
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        let job = Job::new();
        job.append("1.1", Stream::Stdout, 10, "on");
        job.append("1.1", Stream::Stdout, 20, "e\ntwo\n\nhal");
        job.append("1.1", Stream::Stderr, 30, "f");
        let lines = job.stream("1.1").lines(0, 100).unwrap();
        assert_eq!(texts(&lines), [("one", true), ("two", true), ("", true), ("half", false)]);
        assert_eq!((lines[0].time_ns, lines[3].time_ns, lines[3].stream), (10, 20, Stream::Stdout));
        let rest = job.stream("1.1").lines(lines[0].next, 1).unwrap();
        assert_eq!(texts(&rest), [("two", true)]);
    }

    #[test]
    fn a_line_of_megabytes_comes_in_parts() {
        let job = Job::new();
        job.append("1.1", Stream::Stdout, 1, &format!("{}\nend\n", "x".repeat(LONGEST * 2 + 5)));
        let lines = job.stream("1.1").lines(0, 100).unwrap();
        let lengths: Vec<usize> = lines.iter().map(|line| line.bytes.len()).collect();
        assert_eq!(lengths.iter().sum::<usize>(), LONGEST * 2 + 5 + 3);
        assert!(lengths.iter().all(|length| *length <= LONGEST * 2));
        assert_eq!(lines.last().unwrap().bytes, b"end");
    }

    #[test]
    fn a_long_log_opens_at_its_last_lines() {
        let job = Job::new();
        let stream = job.stream("1.1");
        assert_eq!(stream.last_lines(u64::MAX, 3).unwrap(), 0);
        for n in 0..20_000 {
            job.append("1.1", Stream::Stdout, n, &format!("line {n}\n"));
        }
        let at = stream.last_lines(u64::MAX, 2).unwrap();
        assert_eq!(texts(&stream.lines(at, 10).unwrap()), [("line 19998", true), ("line 19999", true)]);
        let before = stream.last_lines(at, 1).unwrap();
        assert_eq!(texts(&stream.lines(before, 1).unwrap()), [("line 19997", true)]);
    }
}
