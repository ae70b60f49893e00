//! The lines of a log that tell why a step failed.
/// Lines shown of the failing step.
const SHOWN: usize = 6;

/// The lines of a failed step's log that tell most: from the first that looks like an error, else the last.
pub(in crate::web) fn failing_lines<L>(lines: &[L], text: impl Fn(&L) -> &str) -> &[L] {
    let told = |line: &L| !text(line).trim().is_empty();
    let start = lines.iter().position(|line| looks_wrong(text(line))).unwrap_or_else(|| {
        let end = lines.iter().rposition(told).map_or(0, |last| last + 1);
        end.saturating_sub(SHOWN)
    });
    let shown = &lines[start..lines.len().min(start + SHOWN)];
    let end = shown.iter().rposition(told).map_or(0, |last| last + 1);
    &shown[..end]
}

/// Does a line look like the word of an error? For showing it first, never for deciding anything.
pub(in crate::web) fn looks_wrong(text: &str) -> bool {
    let text = text.trim_start();
    const BEGINS: [&str; 12] = [
        "error",
        "Error",
        "ERROR",
        "FAIL",
        "fatal",
        "FATAL",
        "panic",
        "Traceback (most recent",
        "E   ",
        "--- FAIL",
        "npm ERR!",
        "✗",
    ];
    const HAS: [&str; 7] =
        [": error: ", ": error[", "Error: ", "Exception: ", " panicked at ", ": not found", ": No such file"];
    BEGINS.iter().any(|begin| text.starts_with(begin)) || HAS.iter().any(|has| text.contains(has))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(log: &[&str]) -> Vec<String> {
        failing_lines(log, |line| line).iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn the_first_error_is_shown_and_else_the_end() {
        let log = ["ok", "FAIL: test_bare_cr", "AssertionError: x", "ok", "", ""];
        assert_eq!(shown(&log), ["FAIL: test_bare_cr", "AssertionError: x", "ok"]);
        assert_eq!(shown(&["1", "2", "3", "4", "5", "6", "7", ""]), ["2", "3", "4", "5", "6", "7"]);
        assert!(shown(&[]).is_empty());
    }
}
