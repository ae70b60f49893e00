//! One log stream, printed while it grows.
use std::collections::VecDeque;

use futures::StreamExt;
use tokio::sync::watch;

use super::out::Out;
use crate::cli::style::{size, without_colours};
use crate::logs::{Piece, Stream, StreamFile, tail};

/// A terminal that is so far behind is shown where the log is now: nobody reads that fast.
const BEHIND: u64 = 8 << 20;
/// Where it goes on then, before the log's end.
const RESUME: u64 = 16 << 10;
/// A line without an end is cut: a terminal has no use for a gigabyte.
const LONGEST: usize = 16 << 10;
/// Last lines that are kept.
const LAST: usize = 10;
/// What the SDK's own lines begin with.
const OWN: &str = "danube: ";

/// Prints a stream and remembers how it ended.
pub(super) struct Printer {
    out: Out,
    file: StreamFile,
    name: String,
    /// Keep back the SDK's last words: they are the reason of the job.
    keep: bool,
    rest: Vec<u8>,
    told: Told,
}

/// What is to be said again, or not, when all is over.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The last lines that were printed.
    pub(super) last: VecDeque<String>,
    /// The SDK's own lines at the end, not printed.
    pub(super) kept: Vec<String>,
}

impl Printer {
    pub(super) fn new(out: Out, file: StreamFile, name: String, keep: bool) -> Self {
        Self { out, file, name, keep, rest: Vec::new(), told: Told::default() }
    }

    /// Until the stream has ended.
    pub(super) async fn run(mut self, finished: watch::Receiver<bool>) -> Told {
        let mut from = 0;
        while let Some(resume) = self.follow(from, finished.clone()).await {
            self.flush();
            self.rest.clear();
            let (left_out, path) = (size(resume.to - resume.at), self.file.log_path());
            self.print(&format!("… {left_out} not shown; all of it: {}", path.display()));
            from = resume.to;
        }
        self.flush();
        self.told
    }

    async fn follow(&mut self, from: u64, finished: watch::Receiver<bool>) -> Option<Resume> {
        let mut pieces = std::pin::pin!(tail(self.file.clone(), from, finished));
        while let Some(Ok(piece)) = pieces.next().await {
            self.piece(&piece);
            let length = self.file.len().unwrap_or(0);
            if length.saturating_sub(piece.end()) > BEHIND {
                return Some(Resume { at: piece.end(), to: length - RESUME });
            }
        }
        None
    }

    fn piece(&mut self, piece: &Piece) {
        if piece.stream == Stream::Note
            && let Ok(text) = std::str::from_utf8(&piece.bytes)
            && !self.out.is_new(text.trim())
        {
            return;
        }
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend_from_slice(&piece.bytes);
        let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            if lines.peek().is_some() || line.len() > LONGEST {
                self.line(line);
            } else {
                self.rest = line.to_vec();
            }
        }
    }

    fn flush(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            self.line(&rest);
        }
    }

    fn line(&mut self, line: &[u8]) {
        let cut = &line[..line.len().min(LONGEST)];
        let text = without_colours(&String::from_utf8_lossy(cut));
        if self.keep && text.starts_with(OWN) && self.told.kept.len() < LAST * 10 {
            self.told.kept.push(text);
            return;
        }
        for kept in std::mem::take(&mut self.told.kept) {
            self.print(&kept);
        }
        self.print(&text);
    }

    fn print(&mut self, text: &str) {
        self.out.of_step(&self.name, text);
        if self.told.last.len() == LAST {
            self.told.last.pop_front();
        }
        self.told.last.push_back(text.to_owned());
    }
}

/// Where to go on after a jump.
struct Resume {
    at: u64,
    to: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::style::Look;
    use crate::logs::StreamName;

    fn printer(keep: bool) -> Printer {
        let file = StreamFile::new(std::path::Path::new("/nowhere"), StreamName { step: 1, attempt: 1 });
        Printer::new(Out::new(Look::bare()), file, "s".to_owned(), keep)
    }

    fn piece(stream: Stream, text: &str) -> Piece {
        Piece { offset: 0, stream, time_ns: 0, bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn a_remark_that_holds_for_every_step_is_told_once() {
        let mut printer = printer(false);
        for _ in 0..3 {
            printer.piece(&piece(Stream::Note, "danube: no network\n"));
            printer.piece(&piece(Stream::Stdout, "x\n"));
        }
        assert_eq!(printer.told.last, ["danube: no network", "x", "x", "x"]);
    }

    #[test]
    fn only_the_sdks_last_words_are_kept_back() {
        let mut printer = printer(true);
        printer.piece(&piece(Stream::Stderr, "danube: a note\nhello\ndanube: step failed\ndanube: another"));
        printer.flush();
        assert_eq!(printer.told.last, ["danube: a note", "hello"]);
        assert_eq!(printer.told.kept, ["danube: step failed", "danube: another"]);
    }

    #[test]
    fn a_line_in_pieces_is_one_line_and_an_endless_one_is_cut() {
        let mut printer = printer(false);
        for part in ["a", "b\nc", "\u{1b}[2J", "\n"] {
            printer.piece(&piece(Stream::Stdout, part));
        }
        assert_eq!(printer.told.last, ["ab", "c\u{fffd}[2J"]);
        printer.piece(&piece(Stream::Stdout, &"x".repeat(LONGEST * 2)));
        assert_eq!(printer.told.last.back().map(String::len), Some(LONGEST));
    }
}
