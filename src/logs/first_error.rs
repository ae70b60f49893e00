//! The first line of a log that looks like the cause of a failure.
use std::ops::ControlFlow;
use std::sync::{LazyLock, PoisonError};

use regex::bytes::Regex;

use super::line_indexes::LineIndexes;
use super::search::seen;
use super::source::{LogFile, Source};
use super::walk::{Spot, walk};
use super::{LogError, StreamFile};

/// Bytes looked at from the beginning, and as many at the end of a longer log.
const LOOK: u64 = 16 << 20;
/// Bytes of the line that are given.
const SHOWN: usize = 1000;

/// Where a log first tells of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstError {
    /// Its number, from 1.
    pub line: u64,
    /// Where it begins in the log.
    pub offset: u64,
    /// Its text, without colours, cut at 1,000 bytes.
    pub text: String,
}

impl LineIndexes {
    /// The first line that looks like an error; a guess for readers, never a reason to decide
    /// anything. Looks at the first and the last 16 MiB.
    pub fn first_error(&self, file: &StreamFile) -> Result<Option<FirstError>, LogError> {
        let Some(log) = LogFile::open(file)? else { return Ok(None) };
        let length = log.len()?;
        let early = find(&log, Spot::START, length.min(LOOK))?;
        if early.is_some() || length <= LOOK {
            return Ok(early);
        }
        let offset = length.saturating_sub(LOOK).max(LOOK);
        let Some(mut late) = find(&log, Spot { offset, line: 1 }, length)? else { return Ok(None) };
        let index = self.of(file);
        let mut index = index.lock().unwrap_or_else(PoisonError::into_inner);
        index.count(&log, late.offset, u64::MAX)?;
        late.line = index.number_at(&log, late.offset)?;
        Ok(Some(late))
    }
}

fn find(log: &impl Source, from: Spot, end: u64) -> Result<Option<FirstError>, LogError> {
    let (found, _) = walk(log, from, end, |spot, line| {
        if !COULD_BE.is_match(line) {
            return ControlFlow::Continue(());
        }
        let mut text = seen(line);
        if !looks_wrong(&text) {
            return ControlFlow::Continue(());
        }
        text.truncate(text.floor_char_boundary(SHOWN));
        ControlFlow::Break(FirstError { line: spot.line, offset: spot.offset, text })
    })?;
    Ok(found)
}

/// What a line begins with, behind its white space.
const BEGINS: [&str; 19] = [
    "error:",
    "error[",
    "Error:",
    "ERROR",
    "FAIL",
    "fatal:",
    "FATAL",
    "panic:",
    "Traceback (most recent",
    "E   ",
    "--- FAIL",
    "npm ERR!",
    "npm error",
    "✗",
    "✕",
    "CMake Error",
    "Segmentation fault",
    "BUILD FAILED",
    "##[error]",
];

/// What a line has anywhere.
const HAS: [&str; 23] = [
    ": error:",
    ": error[",
    ": error ",
    ": fatal error",
    "Error: ",
    "Exception: ",
    "Exception in thread",
    "AssertionError",
    " panicked at ",
    ": not found",
    ": command not found",
    ": No such file or directory",
    "Permission denied",
    "make: ***",
    "]: ***",
    "Segmentation fault",
    "core dumped",
    "undefined reference to",
    "No space left on device",
    "Out of memory",
    " FAILED",
    "[ERROR]",
    "Killed",
];

/// What says that nothing is wrong.
const NOT: [&str; 8] =
    ["0 error", "no error", "No error", "0 failed", "0 FAILED", "errors=0", "without error", "error: 0"];

/// Every text above has one of these; so most lines are told apart in one look.
const STEMS: &str = r"(?-u)rror|ERROR|FAIL|atal|FATAL|anic|raceback|E   |npm ERR|\xe2\x9c|\*\*\*|ault|xception|not found|No such|denied|dumped|undefined ref|No space|Out of mem|Killed";

static COULD_BE: LazyLock<Regex> = LazyLock::new(|| Regex::new(STEMS).expect("a fixed expression; a test runs it"));

/// Whether a line looks like the word of an error.
pub fn looks_wrong(text: &str) -> bool {
    let text = text.trim_start();
    let wrong = BEGINS.iter().any(|begin| text.starts_with(begin)) || HAS.iter().any(|has| text.contains(has));
    wrong && !NOT.iter().any(|not| text.contains(not))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Job;
    use super::*;

    fn first(log: &str) -> Option<(u64, String)> {
        let job = Job::new();
        job.append_log_only("1.1", log);
        let found = LineIndexes::default().first_error(&job.stream("1.1")).unwrap();
        found.map(|found| (found.line, found.text))
    }

    #[test]
    fn the_first_line_that_tells_of_a_failure_is_found() {
        for line in [
            "error[E0308]: mismatched types",
            "\x1b[0m\x1b[1m\x1b[38;5;9merror\x1b[0m\x1b[1m: could not compile\x1b[0m",
            "src/main.c:3:5: error: expected ';'",
            "Traceback (most recent call last):",
            "thread 'main' panicked at src/main.rs:2:5:",
            "FAIL: test_bare_cr (tests.test_comment.TestComment)",
            "--- FAIL: TestX (0.00s)",
            "tests/test_x.py::test_y FAILED",
            "E       AssertionError: not raised",
            "npm ERR! code ELIFECYCLE",
            "make: *** [Makefile:3: all] Error 1",
            "make[1]: *** [x] Error 2",
            "fatal: not a git repository",
            "Segmentation fault (core dumped)",
            "bash: cc: command not found",
            "sh: 1: cc: not found",
            "java.lang.IllegalStateException: x",
            "  ✗ renders",
        ] {
            let found = first(&format!("compiling\n0 errors, no error here\n{line}\nerror: later\n"));
            assert_eq!(found, Some((3, seen(line.as_bytes()))), "{line}");
        }
        assert_eq!(first("all good\nerror_handling.py ok\n12 passed, 0 failed\n"), None);
        assert_eq!(first(""), None);
    }

    #[test]
    fn every_text_that_looks_wrong_is_looked_at() {
        for text in BEGINS.iter().chain(&HAS) {
            assert!(COULD_BE.is_match(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn an_error_at_the_end_of_a_long_log_has_its_number() {
        let job = Job::new();
        let line = format!("{}\n", "x".repeat(1023));
        job.append_log_only("1.1", &line.repeat(40 << 10));
        job.append_log_only("1.1", "error: at last\n");
        let found = LineIndexes::default().first_error(&job.stream("1.1")).unwrap().unwrap();
        assert_eq!((found.line, found.offset), ((40 << 10) + 1, 40 << 20));
    }
}
