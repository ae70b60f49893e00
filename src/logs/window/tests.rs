use super::super::fixture::Job;
use super::super::source::Made;
use super::*;
use proptest::prelude::*;

struct Text<'a>(&'a [u8]);

impl Source for Text<'_> {
    fn len(&self) -> Result<u64, LogError> {
        Ok(self.0.len() as u64)
    }

    fn fill(&self, at: u64, buffer: &mut [u8]) -> Result<usize, LogError> {
        let rest = self.0.get(at as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

fn look(text: &str, place: Place, limit: usize, live: bool) -> Window {
    read(&Text(text.as_bytes()), &mut LineIndex::default(), place, limit, live).unwrap()
}

fn shown(window: &Window) -> Vec<(u64, String)> {
    let row = |row: &Row| (row.number.unwrap_or(0), String::from_utf8(row.bytes.clone()).unwrap());
    window.rows.iter().map(row).collect()
}

fn lines(rows: &[(u64, &str)]) -> Vec<(u64, String)> {
    rows.iter().map(|(number, text)| (*number, (*text).to_owned())).collect()
}

#[test]
fn the_last_lines_keep_their_numbers() {
    let window = look("a\nb\nc\nd\n", Place::Tail, 2, false);
    assert_eq!(shown(&window), lines(&[(3, "c"), (4, "d")]));
    assert_eq!((window.start, window.end, window.more, window.lines), (4, 8, false, Some(4)));
    assert_eq!(shown(&look("a\nb\nc", Place::Tail, 2, false)), lines(&[(2, "b"), (3, "c")]));
    assert!(look("", Place::Tail, 2, false).rows.is_empty());
    assert_eq!(shown(&look("\n\n", Place::Tail, 3, false)), lines(&[(1, ""), (2, "")]));
}

#[test]
fn a_line_that_is_still_written_is_left_for_later() {
    let window = look("a\nhal", Place::Tail, 9, true);
    assert_eq!((shown(&window), window.end, window.more), (lines(&[(1, "a")]), 2, false));
    let window = look("a\nhal", Place::From(2), 9, true);
    assert_eq!((window.rows.len(), window.end), (0, 2));
}

#[test]
fn only_the_last_state_of_a_progress_line_is_kept() {
    let window = look("10%\r50%\r100%\r\ndone\r\n", Place::Line(1), 9, false);
    assert_eq!(shown(&window), lines(&[(1, "100%"), (2, "done")]));
    let long = format!("{}\n", "working\r".repeat(40_000) + "ready");
    let window = look(&long, Place::Tail, 1, false);
    assert_eq!(shown(&window), lines(&[(1, "ready")]));
    assert!(window.rows[0].cut);
}

#[test]
fn a_window_of_a_gigabyte_reads_its_own_bytes_alone() {
    let log = Made::new(16 << 20);
    let mut index = LineIndex::default();
    // At its end at once: no number yet, and nothing but what may be counted at once was read.
    let window = read(&log, &mut index, Place::Tail, 500, false).unwrap();
    assert_eq!(window.rows.len(), 500);
    assert_eq!(window.rows[499].bytes, format!("{:063}", 16 << 20).as_bytes());
    assert!(log.read.get() <= AT_ONCE + 4 * PIECE as u64);
    let spent = |log: &Made| log.read.replace(0);
    spent(&log);
    let size = 3 * (128 << 10) + 4 * PIECE as u64;
    let window = read(&log, &mut index, Place::Line(1_000_000), 500, false).unwrap();
    assert_eq!(window.rows[0].number, Some(1_000_000));
    assert_eq!(window.rows[0].bytes, format!("{:063}", 1_000_000).as_bytes());
    assert!(spent(&log) <= size);
    let window = read(&log, &mut index, Place::Before(window.start), 500, false).unwrap();
    assert_eq!((window.rows[0].number, window.rows.len()), (Some(999_500), 500));
    assert!(spent(&log) <= size);
}

#[test]
fn a_line_of_megabytes_is_cut_and_the_next_one_is_found_without_reading_it() {
    let text = format!("first\n{}\nlast\n", "x".repeat(10 << 20));
    let window = look(&text, Place::Line(1), 9, false);
    assert_eq!(window.rows.len(), 3);
    let long = &window.rows[1];
    assert_eq!((long.length, long.bytes.len(), long.cut), (10 << 20, LINE, true));
    assert_eq!(shown(&window)[2], (3, "last".to_owned()));
}

#[test]
fn lines_tell_when_they_were_written_and_by_whom() {
    let job = Job::new();
    job.append("1.1", Stream::Stdout, 10, "a\nb");
    job.append("1.1", Stream::Stderr, 20, "\nc\n");
    job.append_log_only("1.1", "not indexed\n");
    let window = LineIndexes::default().window(&job.stream("1.1"), Place::Tail, 9, false).unwrap();
    let written: Vec<_> = window.rows.iter().map(|row| row.written).collect();
    assert_eq!(written, [Some((10, Stream::Stdout)), Some((10, Stream::Stdout)), Some((20, Stream::Stderr)), None]);
    let none = LineIndexes::default().window(&job.stream("2.1"), Place::Tail, 9, false).unwrap();
    assert_eq!(none, Window::default());
}

proptest! {
    #[test]
    fn every_window_has_its_own_lines(text in "[ab\n]{0,60}", first in 1u64..12, keep in 1usize..12, offset in 0u64..70) {
        let all: Vec<(u64, String)> = (1..).zip(text.lines().map(str::to_owned)).collect();
        let tail: Vec<_> = all.iter().skip(all.len().saturating_sub(keep)).cloned().collect();
        prop_assert_eq!(shown(&look(&text, Place::Tail, keep, false)), tail);
        let from: Vec<_> = all.iter().filter(|(n, _)| *n >= first).take(keep).cloned().collect();
        prop_assert_eq!(shown(&look(&text, Place::Line(first), keep, false)), from);
        let offset = offset.min(text.len() as u64);
        let number = 1 + text[..offset as usize].matches('\n').count() as u64;
        let from: Vec<_> = all.iter().filter(|(n, _)| *n >= number).take(keep).cloned().collect();
        prop_assert_eq!(shown(&look(&text, Place::From(offset), keep, false)), from);
        let before: Vec<_> = all.iter().filter(|(n, _)| *n < number && *n + keep as u64 >= number).cloned().collect();
        prop_assert_eq!(shown(&look(&text, Place::Before(offset), keep, false)), before);
    }
}
