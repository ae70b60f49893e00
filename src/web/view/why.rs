//! Why a job failed, before anything else.
use super::Line;

/// Lines shown of the failing step.
const SHOWN: usize = 6;

/// The box above a job's steps.
#[derive(Debug, Clone)]
pub(in crate::web) struct Why {
    /// `wait`, `run`, or nothing for red.
    pub(in crate::web) class: &'static str,
    /// Its name for screen readers.
    pub(in crate::web) label: &'static str,
    /// The reason.
    pub(in crate::web) sentence: String,
    /// The first failing lines.
    pub(in crate::web) lines: Vec<String>,
    /// Where they stand.
    pub(in crate::web) link: Option<String>,
    /// The number of the first of them.
    pub(in crate::web) line: u64,
}

/// The lines of a failed step's log that tell most: from the first that looks like an error, else the last.
pub(in crate::web) fn failing_lines(lines: &[Line]) -> &[Line] {
    let start = lines.iter().position(|line| looks_wrong(&line.text)).unwrap_or_else(|| {
        let end = lines.iter().rposition(|line| !line.text.trim().is_empty()).map_or(0, |last| last + 1);
        end.saturating_sub(SHOWN)
    });
    let shown = &lines[start..lines.len().min(start + SHOWN)];
    let end = shown.iter().rposition(|line| !line.text.trim().is_empty()).map_or(0, |last| last + 1);
    &shown[..end]
}

fn looks_wrong(text: &str) -> bool {
    let text = text.trim_start();
    const BEGINS: [&str; 12] = [
        "error", "Error", "ERROR", "FAIL", "fatal", "FATAL", "panic", "Traceback (most recent", "E   ", "--- FAIL",
        "npm ERR!", "✗",
    ];
    const HAS: [&str; 7] =
        [": error: ", ": error[", "Error: ", "Exception: ", " panicked at ", ": not found", ": No such file"];
    BEGINS.iter().any(|begin| text.starts_with(begin)) || HAS.iter().any(|has| text.contains(has))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<Line> {
        (1..).zip(texts).map(|(number, text)| Line { number, text: (*text).to_owned() }).collect()
    }

    #[test]
    fn the_first_error_is_shown_and_else_the_end() {
        let log = lines(&["ok", "FAIL: test_bare_cr", "AssertionError: x", "ok", "", ""]);
        let shown: Vec<_> = failing_lines(&log).iter().map(|line| line.number).collect();
        assert_eq!(shown, [2, 3, 4]);
        let log = lines(&["1", "2", "3", "4", "5", "6", "7", ""]);
        let shown: Vec<_> = failing_lines(&log).iter().map(|line| line.number).collect();
        assert_eq!(shown, [2, 3, 4, 5, 6, 7]);
        assert!(failing_lines(&[]).is_empty());
    }
}
