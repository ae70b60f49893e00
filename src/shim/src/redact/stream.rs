//! One stream on its way through the redactor.

use std::collections::VecDeque;

use super::Patterns;
use super::automaton::ROOT;

/// Redacts one stream, however its bytes are cut into pieces.
///
/// A byte is held back only while it can be the beginning of a secret. Forms that overlap or touch
/// become one replacement, named after the one that begins first.
pub struct Redactor {
    patterns: Patterns,
    state: u32,
    /// Bytes not yet released.
    held: Vec<u8>,
    /// The position of `held[0]` in the stream.
    released: u64,
    /// Masked stretches that end at `released` or later, in order.
    runs: VecDeque<Run>,
}

struct Run {
    start: u64,
    end: u64,
    owner: u32,
    replaced: bool,
}

impl Redactor {
    /// A redactor at the beginning of a stream.
    pub fn new(patterns: Patterns) -> Self {
        Self { patterns, state: ROOT, held: Vec::new(), released: 0, runs: VecDeque::new() }
    }

    /// Takes the next bytes and appends to `out` what can be shown by now.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let scanned = self.held.len();
        self.held.extend_from_slice(bytes);
        self.scan(scanned);
        let wait = self.patterns.0.hold(self.state);
        self.release(self.held.len() - wait, out);
    }

    /// Ends the stream: what was held back is shown.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.release(self.held.len(), out);
        self.state = ROOT;
    }

    /// How many bytes wait.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Goes on with other patterns, which contain the present ones and begin with them in order.
    ///
    /// Bytes that wait are looked at again; bytes that were released cannot be called back.
    pub fn replace_patterns(&mut self, patterns: Patterns, out: &mut Vec<u8>) {
        self.patterns = patterns;
        self.state = ROOT;
        self.scan(0);
        let wait = self.patterns.0.hold(self.state);
        self.release(self.held.len() - wait, out);
    }

    fn scan(&mut self, from: usize) {
        let automaton = &self.patterns.0;
        let mut state = self.state;
        let mut at = from;
        while at < self.held.len() {
            if automaton.is_shallow(state) {
                // The byte that may have begun a form is still held; it is looked at again.
                let begin = at - usize::from(state != ROOT);
                let skipped = automaton.skip(&self.held[begin..]);
                if skipped > 0 {
                    state = ROOT;
                    at = begin + skipped;
                }
            }
            state = automaton.next(state, self.held[at]);
            at += 1;
            if let Some((length, owner)) = automaton.matched(state) {
                let end = self.released + at as u64;
                mask(&mut self.runs, end - length as u64, end, owner);
            }
        }
        self.state = state;
    }

    fn release(&mut self, count: usize, out: &mut Vec<u8>) {
        let end = self.released + count as u64;
        let mut at = 0;
        for run in &mut self.runs {
            if run.start >= end {
                break;
            }
            let start = usize::try_from(run.start.saturating_sub(self.released)).unwrap_or(0);
            out.extend_from_slice(&self.held[at..start.max(at)]);
            if !run.replaced {
                out.extend_from_slice(self.patterns.0.replacement(run.owner));
                run.replaced = true;
            }
            at = usize::try_from(run.end.min(end).saturating_sub(self.released)).unwrap_or(0);
        }
        out.extend_from_slice(&self.held[at..count]);
        self.held.drain(..count);
        self.released = end;
        // A run that ends right here may still be continued by the next byte.
        while self.runs.front().is_some_and(|run| run.end < end) {
            self.runs.pop_front();
        }
    }
}

fn mask(runs: &mut VecDeque<Run>, start: u64, end: u64, owner: u32) {
    let mut run = Run { start, end, owner, replaced: false };
    while let Some(last) = runs.pop_back_if(|last| last.end >= run.start) {
        run.end = run.end.max(last.end);
        if last.start < run.start || last.replaced {
            run.start = last.start.min(run.start);
            run.owner = last.owner;
        }
        run.replaced |= last.replaced;
    }
    runs.push_back(run);
}

#[cfg(test)]
mod tests;
