//! A window of a log: some lines with their numbers, read without the rest.
use std::sync::PoisonError;

use memchr::{memchr, memchr_iter, memrchr};

use super::line_index::LineIndex;
use super::line_indexes::LineIndexes;
use super::pieces::Reader;
use super::source::{LogFile, Source};
use super::times::Times;
use super::{LogError, Stream, StreamFile};

/// Bytes counted before a log opens at its end; of a longer one the end has no numbers at first.
const AT_ONCE: u64 = 64 << 20;
/// Bytes of one line that are kept; its raw bytes have the rest.
pub(super) const LINE: usize = 4096;
/// Bytes read at once.
const PIECE: usize = 64 << 10;
/// Bytes read for one window; a window of longer lines has fewer.
const READ: u64 = 4 << 20;

/// Where a window lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The last lines, at once: without numbers where counting them would take long.
    Tail,
    /// From the line with this number.
    Line(u64),
    /// From the line that holds this offset.
    From(u64),
    /// The lines before the one that holds this offset.
    Before(u64),
}

/// A line of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// From 1; none where it was not counted yet.
    pub number: Option<u64>,
    /// Where it begins in the log.
    pub offset: u64,
    /// Its bytes in the log, without the line end.
    pub length: u64,
    /// Where the next one begins.
    pub next: u64,
    /// When its first byte was written, in nanoseconds since 1970, and by whom.
    pub written: Option<(i64, Stream)>,
    /// What is left of it after the last carriage return, cut at 4 KiB; hostile.
    pub bytes: Vec<u8>,
    /// `bytes` were cut.
    pub cut: bool,
}

/// Some lines of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// In order.
    pub rows: Vec<Row>,
    /// Where the first one begins.
    pub start: u64,
    /// Where the next window begins.
    pub end: u64,
    /// How long the log is now.
    pub length: u64,
    /// How many lines it has, where all were counted.
    pub lines: Option<u64>,
    /// Whole lines follow.
    pub more: bool,
}

impl LineIndexes {
    /// At most `limit` lines at a place of a stream. While it grows (`live`), a line without its end
    /// is left for later. Memory is bounded by the window, however long the log or a line is.
    pub fn window(&self, file: &StreamFile, place: Place, limit: usize, live: bool) -> Result<Window, LogError> {
        let Some(log) = LogFile::open(file)? else { return Ok(Window::default()) };
        let index = self.of(file);
        let mut index = index.lock().unwrap_or_else(PoisonError::into_inner);
        let mut window = read(&log, &mut index, place, limit.max(1), live)?;
        let mut times = Times::new(Reader::open(file)?);
        for row in &mut window.rows {
            row.written = times.at(row.offset)?;
        }
        Ok(window)
    }
}

/// The window of a log whose times are not asked for.
pub(super) fn read(
    log: &impl Source,
    index: &mut LineIndex,
    place: Place,
    limit: usize,
    live: bool,
) -> Result<Window, LogError> {
    let length = log.len()?;
    if index.counted() > length {
        // Not a log of ours any more: those only grow.
        *index = LineIndex::default();
    }
    let many = limit as u64;
    let (first, start, most) = match place {
        Place::Tail if index.count(log, length, AT_ONCE)? => {
            let last = index.ends() + u64::from(!live && unended(log, index, length)?);
            numbered(log, index, last.saturating_sub(many).saturating_add(1), limit)?
        }
        Place::Tail => (None, tail(log, length, limit)?, limit),
        Place::Line(number) => {
            index.count_ends(log, number.max(1) - 1, length)?;
            numbered(log, index, number.max(1), limit)?
        }
        Place::From(offset) => {
            let offset = offset.min(length);
            index.count(log, offset, u64::MAX)?;
            let number = index.number_at(log, offset)?;
            numbered(log, index, number, limit)?
        }
        Place::Before(offset) => {
            let offset = offset.min(length);
            index.count(log, offset, u64::MAX)?;
            let behind = index.number_at(log, offset)?;
            let first = behind.saturating_sub(many).max(1);
            numbered(log, index, first, usize::try_from(behind - first).unwrap_or(limit))?
        }
    };
    let start = start.min(length);
    let mut window = Window { start, end: start, length, ..Window::default() };
    rows(log, index, &mut window, first, most, live)?;
    let rest = window.end < length;
    window.more = rest && (!live || behind_end(log, window.end, length)?);
    if index.counted() >= length {
        window.lines = Some(index.ends() + u64::from(unended(log, index, length)?));
    }
    Ok(window)
}

/// Where a line begins by its number; behind the last one, the end of the log.
fn numbered(
    log: &impl Source,
    index: &LineIndex,
    number: u64,
    limit: usize,
) -> Result<(Option<u64>, u64, usize), LogError> {
    let start = index.start_of(log, number)?.unwrap_or(u64::MAX);
    Ok((Some(number), start, limit))
}

/// Whether the last line has no end.
fn unended(log: &impl Source, index: &LineIndex, length: u64) -> Result<bool, LogError> {
    let mut last = [b'\n'];
    if length > 0 && index.counted() >= length {
        log.fill(length - 1, &mut last)?;
    }
    Ok(last != *b"\n")
}

/// Whether a whole line lies between here and the end; looks at the next piece alone.
fn behind_end(log: &impl Source, at: u64, length: u64) -> Result<bool, LogError> {
    let mut piece = vec![0; PIECE];
    let read = log.fill(at, &mut piece)?;
    Ok(memchr(b'\n', &piece[..read]).is_some() || at + (read as u64) < length)
}

/// Where the last lines begin, found from the end; looks back 8 MiB at most.
fn tail(log: &impl Source, length: u64, limit: usize) -> Result<u64, LogError> {
    let floor = length.saturating_sub(2 * READ);
    let (mut stop, mut found, mut first) = (length, 0, length);
    let mut piece = vec![0; PIECE];
    while stop > floor {
        let start = stop.saturating_sub(PIECE as u64).max(floor);
        let read = log.fill(start, &mut piece[..(stop - start) as usize])?;
        let mut rest = &piece[..read];
        while let Some(end) = memrchr(b'\n', rest) {
            let after = start + end as u64 + 1;
            if after < length {
                first = after;
                found += 1;
                if found == limit {
                    return Ok(after);
                }
            }
            rest = &rest[..end];
        }
        stop = start;
    }
    // A line that began before the floor is left out, unless it is the only one.
    Ok(if floor == 0 || found == 0 { floor } else { first })
}

fn rows(
    log: &impl Source,
    index: &mut LineIndex,
    window: &mut Window,
    mut number: Option<u64>,
    limit: usize,
    live: bool,
) -> Result<(), LogError> {
    let length = window.length;
    let mut piece = vec![0; PIECE];
    let mut read = 0;
    while window.rows.len() < limit && window.end < length && (read < READ || number.is_none()) {
        let at = window.end;
        let room = usize::try_from(length - at).unwrap_or(PIECE).min(PIECE);
        let filled = log.fill(at, &mut piece[..room])?;
        let piece = &piece[..filled];
        read += filled as u64;
        let mut used = 0;
        for end in memchr_iter(b'\n', piece) {
            let (bytes, cut) = last_state(&piece[used..end]);
            push(window, &mut number, (end - used) as u64, 1, bytes.to_vec(), cut);
            used = end + 1;
            if window.rows.len() == limit {
                break;
            }
        }
        if used > 0 {
            continue;
        }
        let (behind, ended) = match at + filled as u64 >= length {
            true => (length, false),
            false => end_of_line(log, index, at + filled as u64, number, length)?,
        };
        if filled == 0 || (live && !ended) {
            break;
        }
        let line = behind - at - u64::from(ended);
        let (bytes, cut) = if line > filled as u64 {
            (long_line(log, piece, at + line)?, true)
        } else {
            let (bytes, cut) = last_state(piece);
            (bytes.to_vec(), cut)
        };
        push(window, &mut number, line, u64::from(ended), bytes, cut);
    }
    Ok(())
}

fn push(window: &mut Window, number: &mut Option<u64>, length: u64, end: u64, bytes: Vec<u8>, cut: bool) {
    let offset = window.end;
    let next = offset + length + end;
    window.rows.push(Row { number: *number, offset, length, next, written: None, bytes, cut });
    window.end = next;
    *number = number.map(|number| number + 1);
}

/// Where the line ends that reaches beyond `at`, and whether it has an end. By the index where the
/// line has a number: then its bytes are not read.
fn end_of_line(
    log: &impl Source,
    index: &mut LineIndex,
    mut at: u64,
    number: Option<u64>,
    length: u64,
) -> Result<(u64, bool), LogError> {
    if let Some(number) = number {
        index.count_ends(log, number, length)?;
        return Ok(index.start_of(log, number + 1)?.map_or((length, false), |next| (next, true)));
    }
    let mut piece = vec![0; PIECE];
    while at < length {
        let read = log.fill(at, &mut piece)?;
        if let Some(end) = memchr(b'\n', &piece[..read]) {
            return Ok((at + end as u64 + 1, true));
        }
        if read == 0 {
            break;
        }
        at += read as u64;
    }
    Ok((length, false))
}

/// What is shown of a line that ends at `end` and is longer than a piece.
fn long_line(log: &impl Source, head: &[u8], end: u64) -> Result<Vec<u8>, LogError> {
    let mut last = vec![0; LINE];
    let read = log.fill(end - LINE as u64, &mut last)?;
    let last = &last[..read];
    // A progress bar of megabytes: its last state is at its end.
    let text = without_returns(last);
    let shown = memrchr(b'\r', text).map_or(&head[..LINE.min(head.len())], |at| &text[at + 1..]);
    Ok(shown.to_vec())
}

/// What a terminal would show of a line: what follows the last carriage return, cut at 4 KiB.
fn last_state(line: &[u8]) -> (&[u8], bool) {
    let line = without_returns(line);
    let line = memrchr(b'\r', line).map_or(line, |at| &line[at + 1..]);
    (&line[..line.len().min(LINE)], line.len() > LINE)
}

fn without_returns(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
    &line[..end]
}

#[cfg(test)]
mod tests;
