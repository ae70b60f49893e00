//! The line of a log that tells most of a failure.
//!
//! A guess for readers, never a reason to decide anything. Of the heaviest lines it is the first of the last cluster:
//! what failed before and was followed by a long silence was most likely overcome.
use std::ops::ControlFlow;
use std::sync::{LazyLock, PoisonError};

use regex::bytes::Regex;

use super::line_indexes::LineIndexes;
use super::search::seen;
use super::source::{LogFile, Source};
use super::traceback::Traceback;
use super::walk::{Spot, walk};
use super::weight::{STEMS, Weight, weight};
use super::{LogError, StreamFile};

/// Bytes looked at from the beginning, and as many at the end of a longer log.
const LOOK: u64 = 16 << 20;
/// Bytes of the line that are given.
const SHOWN: usize = 1000;
/// Lines of one weight that are so near to each other are one cluster.
const NEAR: u64 = 100;
/// A word alone counts only among so many last lines.
const LAST: u64 = 50;

/// Where a log tells of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstError {
    /// Its number, from 1.
    pub line: u64,
    /// So many lines before it belong to it: the place of an exception.
    pub before: u64,
    /// Where it begins in the log.
    pub offset: u64,
    /// Its text, without colours, cut at 1,000 bytes.
    pub text: String,
}

impl LineIndexes {
    /// The line that tells most of a failure. Looks at the first and the last 16 MiB, once for each length of the log.
    pub fn first_error(&self, file: &StreamFile) -> Result<Option<FirstError>, LogError> {
        let Some(log) = LogFile::open(file)? else { return Ok(None) };
        let length = log.len()?;
        if let Some(known) = self.known_error(file, length) {
            return Ok(known);
        }
        let found = self.find(file, &log, length)?;
        self.keep_error(file, length, found.clone());
        Ok(found)
    }

    fn find(&self, file: &StreamFile, log: &LogFile, length: u64) -> Result<Option<FirstError>, LogError> {
        let early = find(log, Spot::START, length.min(LOOK))?;
        if length <= LOOK {
            return Ok(early.best(true));
        }
        let offset = length.saturating_sub(LOOK).max(LOOK);
        let late = find(log, Spot { offset, line: 1 }, length)?;
        if early.weight() > late.weight() {
            return Ok(early.best(false));
        }
        let Some(mut found) = late.best(true) else { return Ok(None) };
        let index = self.of(file);
        let mut index = index.lock().unwrap_or_else(PoisonError::into_inner);
        index.count(log, found.offset, u64::MAX)?;
        found.line = index.number_at(log, found.offset)?;
        Ok(Some(found))
    }
}

/// The last cluster of each weight: its first line, and the number of its last one.
#[derive(Default)]
struct Clusters {
    of: [Option<(FirstError, u64)>; 4],
    /// The last line that was seen.
    last: u64,
}

impl Clusters {
    fn note(&mut self, weight: Weight, found: FirstError) {
        let line = found.line;
        match &mut self.of[weight as usize] {
            Some((_, last)) if line - *last <= NEAR => *last = line,
            other => *other = Some((found, line)),
        }
    }

    /// The heaviest weight but that of a word.
    fn weight(&self) -> Option<usize> {
        self.of.iter().rposition(Option::is_some).filter(|weight| *weight > Weight::Word as usize)
    }

    fn best(mut self, at_end: bool) -> Option<FirstError> {
        if let Some(weight) = self.weight() {
            return self.of[weight].take().map(|(found, _)| found);
        }
        let (found, _) = self.of[Weight::Word as usize].take()?;
        (at_end && self.last - found.line < LAST).then_some(found)
    }
}

fn find(log: &impl Source, from: Spot, end: u64) -> Result<Clusters, LogError> {
    let (mut clusters, mut traceback) = (Clusters::default(), Traceback::default());
    let look = |spot: Spot, line: &[u8]| {
        clusters.last = spot.line;
        if !traceback.open() && !COULD_BE.is_match(line) && !Traceback::begins(line) {
            return ControlFlow::<()>::Continue(());
        }
        let mut text = seen(line);
        let raised = traceback.line(spot.line, &text);
        let weight = if raised.is_some() { Some(Weight::Cause) } else { weight(&text) };
        if let Some(weight) = weight {
            text.truncate(text.floor_char_boundary(SHOWN));
            let found = FirstError { line: spot.line, before: raised.unwrap_or(0), offset: spot.offset, text };
            clusters.note(weight, found);
        }
        ControlFlow::Continue(())
    };
    walk(log, from, end, look)?;
    Ok(clusters)
}

static COULD_BE: LazyLock<Regex> = LazyLock::new(|| Regex::new(STEMS).expect("a fixed expression; a test runs it"));

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

    #[track_caller]
    fn tells(log: &str, line: u64, text: &str) {
        assert_eq!(first(log), Some((line, text.to_owned())), "{log}");
    }

    #[test]
    fn what_a_test_runner_says_comes_before_a_word_in_a_warning() {
        let passed = "tests/x.py::test_p PASSED\n".repeat(4);
        let log = format!(
            "collecting\nWARNING: error reporting is off\n{passed}FAILED tests/x.py::test_a\nE   assert 1 == 2\n"
        );
        tells(&log, 7, "FAILED tests/x.py::test_a");
        let log = format!(
            "ok (expected error: cannot open foo)\n{}./app: libx.so: cannot open shared object file: No \
                           such file or directory\n",
            "ok (expected error: no)\n".repeat(20)
        );
        tells(&log, 22, "./app: libx.so: cannot open shared object file: No such file or directory");
    }

    #[test]
    fn one_failure_among_many_good_tests_is_found() {
        let mut log: String = (1..=1000).map(|n| format!("ok {n} - error path {n}\n")).collect();
        log.push_str("not ok 1001 - name\nok 1002 - more\n1..1002\n# failed 1 of 1002\n");
        tells(&log, 1001, "not ok 1001 - name");
    }

    #[test]
    fn the_error_comes_before_what_follows_from_it() {
        let before = "cc -c x.c\n".repeat(1002);
        let tests = "test: prints an error: it is one of the tested ones\n".repeat(300);
        let log = format!("{before}app.c:7:3: error: 'x' undeclared\n{tests}make: *** [Makefile:7: app] Error 1\n");
        tells(&log, 1003, "app.c:7:3: error: 'x' undeclared");
        tells("a\nmake: *** [Makefile:7: app] Error 1\n", 2, "make: *** [Makefile:7: app] Error 1");
    }

    #[test]
    fn the_last_cluster_counts_and_of_it_the_first_line() {
        let quiet = "working\n".repeat(300);
        let log = format!("a.c:1:1: error: old\n{quiet}a.c:2:1: error: one\na.c:3:1: error: two\n");
        tells(&log, 302, "a.c:2:1: error: one");
    }

    #[test]
    fn a_word_alone_counts_only_near_the_end() {
        let quiet = "working\n".repeat(60);
        assert_eq!(first(&format!("an error was seen\n{quiet}")), None);
        tells(&format!("{quiet}an error was seen\nbye\n"), 61, "an error was seen");
        assert_eq!(first("all good\nerror_handling.py ok\n12 passed, 0 failed\n"), None);
        assert_eq!(first(""), None);
    }

    #[test]
    fn colours_hide_nothing() {
        tells("\x1b[0m\x1b[1m\x1b[38;5;9merror[E0308]\x1b[0m\x1b[1m: no\x1b[0m\n", 1, "error[E0308]: no");
    }

    #[test]
    fn of_an_exception_the_last_line_tells_and_its_place_belongs_to_it() {
        let job = Job::new();
        job.append_log_only("0.1", "hello\nTraceback (most recent call last):\n  File \"danubefile.py\", line 21, in build\n    \
            load()\n  File \"/usr/lib/python3.11/json/decoder.py\", line 353, in raw_decode\n    raise x\nbuild.Stop: no\n");
        let found = LineIndexes::default().first_error(&job.stream("0.1")).unwrap().unwrap();
        assert_eq!((found.line, found.before, found.text.as_str()), (7, 4, "build.Stop: no"));
        job.append_log_only(
            "0.2",
            "  File \"danubefile.py\", line 2\n    def (:\n        ^\nSyntaxError: invalid syntax\n",
        );
        let found = LineIndexes::default().first_error(&job.stream("0.2")).unwrap().unwrap();
        assert_eq!((found.line, found.before), (4, 3));
    }

    #[test]
    fn an_error_at_the_end_of_a_long_log_has_its_number() {
        let job = Job::new();
        let line = format!("{}\n", "x".repeat(1023));
        job.append_log_only("1.1", &line.repeat(40 << 10));
        job.append_log_only("1.1", "error: at last\n");
        let indexes = LineIndexes::default();
        let found = indexes.first_error(&job.stream("1.1")).unwrap().unwrap();
        assert_eq!((found.line, found.offset), ((40 << 10) + 1, 40 << 20));
        assert_eq!(indexes.first_error(&job.stream("1.1")).unwrap(), Some(found));
        job.append_log_only("1.1", "a.c:1: error: heavier\n");
        assert_eq!(indexes.first_error(&job.stream("1.1")).unwrap().unwrap().text, "a.c:1: error: heavier");
    }
}
