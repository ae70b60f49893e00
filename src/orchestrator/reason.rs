//! Why a danubefile failed, in one sentence for the job's page, read from the end of its log. Pure.

/// What the SDK's own lines begin with.
const OWN: &str = "danube: ";
/// What they say of an error that Python tells better.
const ABOUT_PYTHON: [&str; 2] = ["the danubefile raised ", " cannot be read as Python"];
/// 128 + SIGKILL.
pub(super) const KILLED: i32 = 137;
/// What the traceback of an exception begins with.
const TRACEBACK: &str = "Traceback (most recent call last):";
/// What stands between the tracebacks of a chain of exceptions.
const CHAINED: [&str; 2] = [
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
];
/// How much of the log's end is looked at.
pub(super) const TAIL: usize = 16 << 10;

/// The sentence for a coordinator that ended with `exit_code`.
pub(super) fn of_coordinator(exit_code: i32, tail: &str) -> String {
    let own = own_line(tail);
    // Of an exception the SDK says only that there was one: the traceback above it says which.
    let python = || python_error(tail).filter(|_| own.is_none_or(|line| ABOUT_PYTHON.iter().any(|p| line.contains(p))));
    python().or_else(|| own.map(str::to_owned)).map_or_else(|| exited(exit_code), |text| bounded(&text))
}

/// Somebody ended the danubefile from outside, as `kill -9` does; by itself it says something before it ends.
pub(super) fn was_killed(exit_code: i32, tail: &str) -> bool {
    exit_code == KILLED && own_line(tail).is_none()
}

fn exited(exit_code: i32) -> String {
    match exit_code {
        KILLED => "the danubefile was killed".to_owned(),
        143 => "the danubefile was terminated".to_owned(),
        code => format!("the danubefile exited with code {code}"),
    }
}

/// What the SDK wrote about an error: the first of its last lines, notes follow it.
fn own_line(tail: &str) -> Option<&str> {
    let own = tail.lines().rev().skip_while(|line| !line.starts_with(OWN)).take_while(|line| line.starts_with(OWN));
    own.last()?.strip_prefix(OWN).map(str::trim).filter(|line| !line.is_empty())
}

/// `danubefile.py:12: ValueError: …` from the first cause that the last traceback names.
fn python_error(tail: &str) -> Option<String> {
    let mut place = None;
    let mut error = None;
    for line in first_traceback(tail).lines() {
        if line.trim_start().starts_with("File \"") {
            place = users_frame(line).or(place);
            error = None;
        } else if place.is_some() && error.is_none() && names_an_error(line) {
            error = Some(line.trim_end());
        }
    }
    Some(format!("{}: {}", place?, error?))
}

/// The last traceback; of a chain, its first one.
fn first_traceback(tail: &str) -> &str {
    let chained = |block: &str| {
        let last = block.trim_end().lines().next_back().unwrap_or_default();
        CHAINED.contains(&last.trim())
    };
    let mut start = tail.rfind(TRACEBACK).unwrap_or(0);
    let mut end = tail.len();
    while let Some(before) = tail[..start].rfind(TRACEBACK).filter(|before| chained(&tail[*before..start])) {
        (start, end) = (before, start);
    }
    &tail[start..end]
}

/// The place of a line such as `  File "/danube/source/danubefile.py", line 12, in build`; none for a file that lies
/// outside the checkout. The SDK tells the checkout's files from its folder on.
fn users_frame(line: &str) -> Option<String> {
    let (file, rest) = line.trim_start().strip_prefix("File \"")?.split_once("\", line ")?;
    let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let file = file.strip_prefix("/danube/source/").unwrap_or(file);
    (!number.is_empty() && !file.starts_with(['/', '<'])).then(|| format!("{file}:{number}"))
}

/// A line such as `ValueError: text` or `KeyboardInterrupt`, unindented, begins with a Python name.
fn names_an_error(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default();
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
}

fn bounded(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_sdks_own_sentence_comes_first() {
        let tail = "compiling\ndanube: step \"unit\" failed: exit code 1\n  danubefile.py:9\n";
        assert_eq!(of_coordinator(1, tail), "step \"unit\" failed: exit code 1");
    }

    #[test]
    fn a_traceback_is_read_to_the_users_line() {
        let tail = "hello\nTraceback (most recent call last):\n  File \"/danube/source/danubefile.py\", line 3, in \
                    <module>\n    build()\n  File \"/danube/source/danubefile.py\", line 12, in build\n    raise \
                    ValueError(\"no\")\nValueError: no\n";
        assert_eq!(of_coordinator(1, tail), "danubefile.py:12: ValueError: no");
    }

    #[test]
    fn the_traceback_of_an_exception_says_more_than_the_sdks_line_and_notes_do_not_count() {
        let tail = "Traceback (most recent call last):\n  File \"danubefile.py\", line 4, in build\n    raise \
                    ValueError('no')\nValueError: no\ndanube: the danubefile raised ValueError (danubefile.py:4)\n";
        assert_eq!(of_coordinator(1, tail), "danubefile.py:4: ValueError: no");
        let tail = "danube: step \"a\" failed: exit code 1\ndanube: another branch failed too\n";
        assert_eq!(of_coordinator(1, tail), "step \"a\" failed: exit code 1");
    }

    #[test]
    fn the_users_line_is_the_deepest_one_of_the_checkout() {
        let tail = "Traceback (most recent call last):\n  File \"danubefile.py\", line 21, in build\n    \
                    json.loads(text)\n  File \"/usr/lib/python3.11/json/decoder.py\", line 353, in raw_decode\n    raise \
                    JSONDecodeError(\"Expecting value\", s, err.value) from None\njson.decoder.JSONDecodeError: Expecting \
                    value: line 1 column 1 (char 0)\ndanube: the danubefile raised JSONDecodeError (danubefile.py:21)\n";
        let said = "danubefile.py:21: json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)";
        assert_eq!(of_coordinator(1, tail), said);
    }

    #[test]
    fn of_a_chain_the_first_cause_is_the_reason() {
        for between in CHAINED {
            let block = |line: u32, error: &str| {
                format!(
                    "Traceback (most recent call last):\n  File \"danubefile.py\", line {line}, in b\n    x\n{error}\n"
                )
            };
            let earlier = block(2, "KeyError: 'shown by the danubefile itself'");
            let (first, last) = (block(4, "ValueError: no"), block(8, "OSError: gone"));
            let tail = format!(
                "{earlier}\n{first}\n{between}\n\n{last}danube: the danubefile raised ValueError (danubefile.py:4)\n\
                 danube: after that: the danubefile raised OSError (danubefile.py:8)\n"
            );
            assert_eq!(of_coordinator(1, &tail), "danubefile.py:4: ValueError: no");
        }
    }

    #[test]
    fn a_syntax_error_is_read_too() {
        let tail =
            "  File \"/danube/source/ci/danubefile.py\", line 2\n    def (:\n        ^\nSyntaxError: invalid syntax\n";
        assert_eq!(of_coordinator(1, tail), "ci/danubefile.py:2: SyntaxError: invalid syntax");
    }

    #[test]
    fn a_silent_end_is_named_by_its_code() {
        assert_eq!(of_coordinator(7, "just output\n"), "the danubefile exited with code 7");
        assert_eq!(of_coordinator(137, ""), "the danubefile was killed");
    }

    proptest! {
        #[test]
        fn any_log_gives_a_bounded_sentence(tail in "(?s).{0,400}") {
            let text = of_coordinator(1, &tail);
            prop_assert!(!text.is_empty() && text.chars().count() <= 500 && !text.chars().any(char::is_control));
        }
    }
}
