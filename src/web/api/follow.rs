//! Where a follower of a job stands: which bytes of which streams it was given, and the last state.
//! Written into every event's id, so that it goes on exactly there after any break.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A stream of a job: step and attempt.
pub(in crate::web) type StreamKey = (u32, u32);

/// Longer texts are no cursor of ours.
const LONGEST: usize = 64 * 1024;
/// Streams that a cursor may name.
const MOST: usize = 100_000;

/// A follower's place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::web) struct Cursor {
    /// A digest of the last state that was sent; 0: none.
    pub(in crate::web) state: u32,
    /// Streams that were sent whole.
    pub(in crate::web) done: BTreeSet<StreamKey>,
    /// Bytes sent of the others.
    pub(in crate::web) sent: BTreeMap<StreamKey, u64>,
}

impl Cursor {
    /// Reads the id of an event; none where it is not one of ours.
    pub(in crate::web) fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let mut parts = text.split(';');
        let (state, done, sent) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let mut cursor = Self { state: u32::from_str_radix(state, 16).ok()?, ..Self::default() };
        for range in done.split(',').filter(|text| !text.is_empty()) {
            let (steps, attempt) = range.split_once('.')?;
            let (first, last) = steps.split_once('-').unwrap_or((steps, steps));
            let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
            let attempt = attempt.parse().ok()?;
            if last < first || cursor.done.len() + (last - first) as usize >= MOST {
                return None;
            }
            cursor.done.extend((first..=last).map(|step| (step, attempt)));
        }
        for place in sent.split(',').filter(|text| !text.is_empty()) {
            let (stream, offset) = place.split_once('=')?;
            let (step, attempt) = stream.split_once('.')?;
            cursor.sent.insert((step.parse().ok()?, attempt.parse().ok()?), offset.parse().ok()?);
        }
        (cursor.sent.len() < MOST).then_some(cursor)
    }

    /// Where to go on in a stream; none: all of it was sent.
    pub(in crate::web) fn at(&self, stream: StreamKey) -> Option<u64> {
        (!self.done.contains(&stream)).then(|| self.sent.get(&stream).copied().unwrap_or(0))
    }

    /// Notes that a stream was sent whole.
    pub(in crate::web) fn finish(&mut self, stream: StreamKey) {
        self.sent.remove(&stream);
        self.done.insert(stream);
    }

    /// The finished streams as runs of steps with the same attempt, so that thousands of steps stay short.
    fn runs(&self) -> Vec<(u32, u32, u32)> {
        let mut by_attempt: Vec<_> = self.done.iter().map(|(step, attempt)| (*attempt, *step)).collect();
        by_attempt.sort_unstable();
        let mut runs: Vec<(u32, u32, u32)> = Vec::new();
        for (attempt, step) in by_attempt {
            match runs.last_mut() {
                Some((_, last, of)) if *of == attempt && last.checked_add(1) == Some(step) => *last = step,
                _ => runs.push((step, step, attempt)),
            }
        }
        runs
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done: Vec<String> = self
            .runs()
            .into_iter()
            .map(
                |(first, last, attempt)| {
                    if first == last { format!("{first}.{attempt}") } else { format!("{first}-{last}.{attempt}") }
                },
            )
            .collect();
        let sent: Vec<String> =
            self.sent.iter().map(|((step, attempt), offset)| format!("{step}.{attempt}={offset}")).collect();
        write!(f, "{:x};{};{}", self.state, done.join(","), sent.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finished_steps_are_written_as_runs() {
        let mut cursor = Cursor { state: 255, ..Cursor::default() };
        (0..1000).for_each(|step| cursor.finish((step, 1)));
        cursor.finish((7, 2));
        cursor.sent.insert((1000, 1), 42);
        assert_eq!(cursor.to_string(), "ff;0-999.1,7.2;1000.1=42");
    }

    #[test]
    fn other_texts_are_no_cursor() {
        for wrong in ["", "1", "1;2", "x;;", "1;5-4.1;", "1;0-4294967295.1;", "1;;1=2", "1;;;", "1;;1.1=x"] {
            assert_eq!(Cursor::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_cursor_reads_back_as_it_was(
            state: u32,
            done in proptest::collection::btree_set((0u32..40, 1u32..4), 0..60),
            sent in proptest::collection::btree_map((40u32..60, 1u32..4), any::<u64>(), 0..10),
        ) {
            let cursor = Cursor { state, done, sent };
            prop_assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        }

        #[test]
        fn no_text_breaks_the_reader(text in ".{0,80}") {
            let _read = Cursor::parse(&text);
        }
    }
}
