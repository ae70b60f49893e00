//! The part of a log that a page shows: some lines, with their numbers.
use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom};

use super::clean;

/// Bytes that are counted through for line numbers; of a longer log the last bytes are shown, numbered from there.
const COUNTED: u64 = 256 << 20;
/// Where the shown part of such a log begins, from its end.
const SHOWN: u64 = 8 << 20;
/// Bytes of text on a page, per log.
const BYTES: u64 = 4 << 20;

/// Which lines.
#[derive(Debug, Clone, Copy)]
pub(in crate::web) enum Want {
    /// The last ones.
    Tail(usize),
    /// From this number on.
    From(u64, usize),
}

/// A numbered line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::web) struct Line {
    /// From 1.
    pub(in crate::web) number: u64,
    /// As it is shown.
    pub(in crate::web) text: String,
}

/// Lines of a log.
#[derive(Debug, Clone, Default)]
pub(in crate::web) struct Part {
    /// In order.
    pub(in crate::web) lines: Vec<Line>,
    /// The offset behind the last line.
    pub(in crate::web) end: u64,
    /// Further lines follow.
    pub(in crate::web) more: bool,
    /// The log is too long to number; numbers count from the shown part.
    pub(in crate::web) unnumbered: bool,
}

/// Reads lines of a log of `length` bytes. While the log grows (`live`), a line without its end is left for later.
pub(in crate::web) fn part(log: &mut (impl Read + Seek), length: u64, want: Want, live: bool) -> io::Result<Part> {
    let unnumbered = length > COUNTED;
    let base = if unnumbered { length - SHOWN } else { 0 };
    let scan = scan(log, base, length, want)?;
    let complete = if live { scan.last_end } else { length };
    let end = scan.end.min(complete).max(scan.start);
    log.seek(SeekFrom::Start(scan.start))?;
    let mut bytes = Vec::new();
    // One endless line must not fill the page's memory: only its beginning is read.
    log.take((end - scan.start).min(BYTES)).read_to_end(&mut bytes)?;
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let lines = if bytes.is_empty() {
        Vec::new()
    } else {
        let numbered = (scan.first..).zip(text.split(|b| *b == b'\n'));
        numbered.map(|(number, line)| Line { number, text: clean(line) }).collect()
    };
    Ok(Part { lines, end, more: end < complete, unnumbered })
}

struct Scan {
    first: u64,
    start: u64,
    end: u64,
    last_end: u64,
}

/// Finds where the wanted lines begin and end, in one pass and bounded memory.
fn scan(log: &mut (impl Read + Seek), base: u64, length: u64, want: Want) -> io::Result<Scan> {
    log.seek(SeekFrom::Start(base))?;
    let mut place = Place::new(base, want);
    let (mut number, mut at, mut last_end) = (1, base, base);
    let mut buffer = vec![0; 64 * 1024];
    let mut source = log.take(length - base);
    loop {
        let n = source.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        for (offset, _) in (at..).zip(&buffer[..n]).filter(|(_, b)| **b == b'\n') {
            number += 1;
            last_end = offset + 1;
            place.line_starts(number, last_end);
        }
        at += n as u64;
    }
    let (first, start, end) = place.found(at);
    Ok(Scan { first, start, end, last_end })
}

/// Where the wanted lines are, as far as the log was read.
enum Place {
    /// The starts of the last lines, one more than wanted: the last may be the empty rest behind the log's end.
    Last { keep: usize, starts: VecDeque<(u64, u64)> },
    /// The start of the first wanted line and the end of the last.
    From { first: u64, behind: u64, start: Option<u64>, end: Option<u64> },
}

impl Place {
    fn new(base: u64, want: Want) -> Self {
        let mut place = match want {
            Want::Tail(keep) => Self::Last { keep: keep.max(1), starts: VecDeque::new() },
            Want::From(first, keep) => {
                let first = first.max(1);
                Self::From { first, behind: first.saturating_add(keep.max(1) as u64), start: None, end: None }
            }
        };
        place.line_starts(1, base);
        place
    }

    fn line_starts(&mut self, number: u64, at: u64) {
        match self {
            Self::Last { keep, starts } => {
                starts.push_back((number, at));
                if starts.len() > *keep + 1 {
                    starts.pop_front();
                }
            }
            Self::From { first, behind, start, end } => {
                if number == *first {
                    *start = Some(at);
                }
                if number == *behind {
                    *end = Some(at);
                }
            }
        }
    }

    /// The number of the first line, its offset, the offset behind the last.
    fn found(mut self, length: u64) -> (u64, u64, u64) {
        match &mut self {
            Self::Last { keep, starts } => {
                if starts.back().is_some_and(|(_, at)| *at == length) {
                    starts.pop_back();
                }
                if starts.len() > *keep {
                    starts.pop_front();
                }
                let (first, start) = starts.front().copied().unwrap_or((1, length));
                (first, start, length)
            }
            Self::From { first, start, end, .. } => (*first, start.unwrap_or(length), end.unwrap_or(length)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn read(text: &str, want: Want, live: bool) -> Part {
        part(&mut Cursor::new(text.as_bytes()), text.len() as u64, want, live).unwrap()
    }

    fn shown(part: &Part) -> Vec<(u64, &str)> {
        part.lines.iter().map(|line| (line.number, line.text.as_str())).collect()
    }

    #[test]
    fn the_last_lines_keep_their_numbers() {
        let part = read("a\nb\nc\nd\n", Want::Tail(2), false);
        assert_eq!(shown(&part), [(3, "c"), (4, "d")]);
        assert_eq!((part.end, part.more), (8, false));
        assert_eq!(shown(&read("a\nb\nc", Want::Tail(2), false)), [(2, "b"), (3, "c")]);
    }

    #[test]
    fn lines_from_a_number_on() {
        let part = read("a\nb\nc\nd\n", Want::From(2, 2), false);
        assert_eq!(shown(&part), [(2, "b"), (3, "c")]);
        assert!(part.more);
        assert_eq!(shown(&read("a\nb\n", Want::From(9, 2), false)), []);
    }

    #[test]
    fn a_line_that_is_still_written_is_left_for_later() {
        let part = read("a\nhal", Want::Tail(10), true);
        assert_eq!((shown(&part), part.end), (vec![(1, "a")], 2));
        let part = read("a\nhal", Want::Tail(10), false);
        assert_eq!((shown(&part), part.end), (vec![(1, "a"), (2, "hal")], 5));
    }

    #[test]
    fn an_empty_log_has_no_lines() {
        assert!(read("", Want::Tail(3), false).lines.is_empty());
        assert_eq!(shown(&read("\n\n", Want::Tail(3), false)), [(1, ""), (2, "")]);
    }

    proptest! {
        #[test]
        fn every_line_is_shown_with_its_own_number(text in "[ab\n]{0,60}", first in 1u64..12, keep in 1usize..12) {
            let all: Vec<(u64, String)> = (1..).zip(text.lines().map(str::to_owned)).collect();
            let tail: Vec<_> = all.iter().skip(all.len().saturating_sub(keep)).cloned().collect();
            let got = read(&text, Want::Tail(keep), false);
            prop_assert_eq!(got.lines.iter().map(|l| (l.number, l.text.clone())).collect::<Vec<_>>(), tail);
            let from: Vec<_> = all.iter().filter(|(n, _)| *n >= first).take(keep).cloned().collect();
            let got = read(&text, Want::From(first, keep), false);
            prop_assert_eq!(got.lines.iter().map(|l| (l.number, l.text.clone())).collect::<Vec<_>>(), from);
        }
    }
}
