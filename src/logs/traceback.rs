//! Python's tracebacks, line by line: which line names the exception, and where the place stands. Pure.

/// Lines between the header and the exception; longer ones are none.
const LONGEST: u64 = 200;
/// Lines that belong to the exception at most.
const SHOWN: u64 = 8;

/// Where in a traceback a reader is.
#[derive(Debug, Default)]
pub(super) struct Traceback {
    /// Where it began; none outside.
    from: Option<u64>,
    /// The last frame, and the last one in a file that is named from the checkout on.
    frame: Option<u64>,
    own: Option<u64>,
}

impl Traceback {
    /// Whether a traceback has begun.
    pub(super) const fn open(&self) -> bool {
        self.from.is_some()
    }

    /// Whether it can begin here.
    pub(super) fn begins(line: &[u8]) -> bool {
        line.starts_with(b"  File \"") || line.starts_with(b"Traceback (most")
    }

    /// Takes a line; where it names the exception: how many lines before it tell the place.
    pub(super) fn line(&mut self, number: u64, text: &str) -> Option<u64> {
        if Self::begins(text.as_bytes()) {
            if text.starts_with('T') || self.from.is_none() {
                *self = Self { from: Some(number), ..Self::default() };
            }
            if let Some(file) = text.strip_prefix("  File \"") {
                self.frame = Some(number);
                self.own = if file.starts_with(['/', '<']) { self.own } else { Some(number) };
            }
            return None;
        }
        let from = self.from?;
        if number - from > LONGEST {
            *self = Self::default();
            return None;
        }
        if text.starts_with(' ') || text.is_empty() || self.frame.is_none() {
            return None;
        }
        let near = |place: Option<u64>| place.map(|place| number - place).filter(|lines| *lines <= SHOWN);
        let before = near(self.own).or_else(|| near(self.frame)).unwrap_or(0);
        *self = Self::default();
        names_an_error(text).then_some(before)
    }
}

/// `ValueError: text`, `build.Stop`: a Python name, and what it says.
fn names_an_error(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default();
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
}
