//! Aho–Corasick over all forms: finds every one of them in a single pass.
//!
//! States are numbered breadth first, so the children of one state have consecutive numbers and a
//! state needs only the number of its first child. The rows of the root and of the states below it
//! are dense. Most bytes of an ordinary log are not looked at one by one: a pair of bytes that stands
//! nowhere in the beginning of a form tells that none begins at or shortly before it (Wu and Manber).

/// The state before any byte.
pub(super) const ROOT: u32 = 0;

/// How many states have a dense row at most: the root and its children.
const DENSE: usize = 257;

/// How far forms are looked at to skip what cannot be one, at most.
const WINDOW: usize = 16;

pub(super) struct Automaton {
    /// The byte that leads to a state.
    label: Vec<u8>,
    /// The first child of a state; its last is before the first of the next state.
    children: Vec<u32>,
    /// The state of the longest proper suffix that is also a beginning.
    fail: Vec<u32>,
    /// How many of the last bytes can still become a longer match.
    hold: Vec<u32>,
    /// The longest form that ends here, or 0.
    matched: Vec<u32>,
    /// Whose form that is.
    owner: Vec<u32>,
    /// Rows of 256 next states, for the first states.
    dense: Vec<u32>,
    /// The bytes of every form that `shifts` tells of: no more than the shortest one has.
    window: usize,
    /// For each pair of bytes: where it ends a window, the next form may begin so far behind the window's start.
    shifts: Vec<u8>,
    replacements: Vec<Vec<u8>>,
}

/// A state being built: the sorted patterns `first..end` share its bytes.
struct Span {
    first: usize,
    end: usize,
    depth: usize,
}

impl Automaton {
    /// `patterns` are forms, each of two bytes at least, with the number of their replacement.
    pub(super) fn new(mut patterns: Vec<(Vec<u8>, usize)>, replacements: Vec<Vec<u8>>) -> Self {
        patterns.sort();
        patterns.dedup_by(|a, b| a.0 == b.0);
        let mut automaton = Self {
            label: vec![0],
            children: Vec::new(),
            fail: vec![ROOT],
            hold: vec![0],
            matched: vec![0],
            owner: vec![0],
            dense: Vec::new(),
            window: patterns.iter().map(|(form, _)| form.len()).min().unwrap_or(WINDOW).min(WINDOW),
            shifts: Vec::new(),
            replacements,
        };
        automaton.grow(&patterns);
        automaton.link();
        automaton.measure(&patterns);
        automaton
    }

    fn grow(&mut self, patterns: &[(Vec<u8>, usize)]) {
        let mut spans = std::collections::VecDeque::from([Span { first: 0, end: patterns.len(), depth: 0 }]);
        while let Some(Span { mut first, end, depth }) = spans.pop_front() {
            self.children.push(self.label.len() as u32);
            // The one pattern that ends here sorts before those that go on.
            while first < end && patterns[first].0.len() == depth {
                first += 1;
            }
            while first < end {
                let byte = patterns[first].0[depth];
                let same = patterns[first..end].partition_point(|(form, _)| form[depth] == byte);
                let whole = patterns[first].0.len() == depth + 1;
                self.label.push(byte);
                self.fail.push(ROOT);
                self.hold.push(depth as u32 + 1);
                self.matched.push(if whole { depth as u32 + 1 } else { 0 });
                self.owner.push(patterns[first].1 as u32);
                spans.push_back(Span { first, end: first + same, depth: depth + 1 });
                first += same;
            }
        }
        // One more entry, so that the last state has an end of its children too.
        self.children.push(self.label.len() as u32);
    }

    fn link(&mut self) {
        let states = self.label.len();
        for state in 0..states {
            // Breadth first: the suffix of a state is shorter, so it is finished already.
            let fail = self.fail[state];
            if self.matched[state] == 0 {
                self.matched[state] = self.matched[fail as usize];
                self.owner[state] = self.owner[fail as usize];
            }
            if self.dense.len() < DENSE * 256 {
                self.add_row(state, fail);
            }
            for child in self.children_of(state as u32) {
                if state as u32 != ROOT {
                    self.fail[child as usize] = self.next(fail, self.label[child as usize]);
                }
            }
            // A whole form without a continuation waits for nothing but its suffix.
            if self.children_of(state as u32).is_empty() {
                self.hold[state] = self.hold[fail as usize];
            }
        }
    }

    fn add_row(&mut self, state: usize, fail: u32) {
        let mut row =
            if state as u32 == ROOT { vec![ROOT; 256] } else { self.dense[fail as usize * 256..][..256].to_vec() };
        for child in self.children_of(state as u32) {
            row[usize::from(self.label[child as usize])] = child;
        }
        self.dense.extend(row);
    }

    fn measure(&mut self, patterns: &[(Vec<u8>, usize)]) {
        self.shifts = vec![self.window as u8 - 1; 1 << 16];
        for (form, _) in patterns {
            for (n, pair) in form[..self.window].array_windows().enumerate() {
                let shift = &mut self.shifts[index(*pair)];
                *shift = (*shift).min((self.window - 2 - n) as u8);
            }
        }
    }

    fn children_of(&self, state: u32) -> std::ops::Range<u32> {
        self.children[state as usize]..self.children[state as usize + 1]
    }

    /// The state after one more byte.
    pub(super) fn next(&self, mut state: u32, byte: u8) -> u32 {
        loop {
            let row = state as usize * 256;
            if row < self.dense.len() {
                return self.dense[row + usize::from(byte)];
            }
            let range = self.children_of(state);
            let labels = &self.label[range.start as usize..range.end as usize];
            // Most deep states have one or two children.
            if let Some(n) = labels.iter().position(|label| *label >= byte)
                && labels[n] == byte
            {
                return range.start + n as u32;
            }
            state = self.fail[state as usize];
        }
    }

    /// How many bytes at the front of `bytes` certainly begin no form.
    pub(super) fn skip(&self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some([.., first, second]) = bytes.get(at..at + self.window) {
            match self.shifts[index([*first, *second])] {
                0 => break,
                shift => at += usize::from(shift),
            }
        }
        at
    }

    /// Whether this is the state after nothing of a form or its first byte alone.
    pub(super) fn is_shallow(&self, state: u32) -> bool {
        state < self.children_of(ROOT).end
    }

    /// How many of the last bytes must wait in this state.
    pub(super) fn hold(&self, state: u32) -> usize {
        self.hold[state as usize] as usize
    }

    /// The longest form that ends in this state: its length and whose it is.
    pub(super) fn matched(&self, state: u32) -> Option<(usize, u32)> {
        let length = self.matched[state as usize] as usize;
        (length > 0).then(|| (length, self.owner[state as usize]))
    }

    /// What stands in the log instead.
    pub(super) fn replacement(&self, owner: u32) -> &[u8] {
        &self.replacements[owner as usize]
    }
}

fn index([first, second]: [u8; 2]) -> usize {
    usize::from(u16::from_be_bytes([first, second]))
}
