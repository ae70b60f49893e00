//! A line of a log as a page shows it: pieces of text with our own classes, nothing else.
use super::log_palette::{class, ground};
use crate::logs::{Span, Style, spans};

/// Text with its classes; the template escapes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::web) struct Run {
    /// Our classes; empty for plain text.
    pub(in crate::web) class: String,
    /// From outside.
    pub(in crate::web) text: String,
}

/// The bytes of a line, as they are shown.
pub(in crate::web) fn runs(line: &[u8]) -> Vec<Run> {
    spans(line).into_iter().map(|Span { style, text }| Run { class: classes(style), text }).collect()
}

fn classes(style: Style) -> String {
    let mut classes = Vec::new();
    let front = style.front.map_or(7, class);
    if style.inverse {
        classes.push(format!("r{}", style.back.map_or(front, class)));
        // Text in the ground's colour would need a check of each pair; dark text is readable on all.
        classes.push("inv".to_owned());
    } else {
        classes.extend(style.front.map(|_| format!("f{front}")));
        classes.extend(style.back.map(|colour| format!("b{}", ground(colour))));
        // A weaker colour of a colour would not be readable any more.
        classes.extend((style.dim && style.front.is_none()).then(|| "dim".to_owned()));
    }
    let words = [
        (style.bold, "bold"),
        (style.italic, "ital"),
        (style.underline && !style.strike, "under"),
        (style.strike, "strike"),
        (style.code, "code-point"),
    ];
    classes.extend(words.iter().filter(|(on, _)| *on).map(|(_, word)| (*word).to_owned()));
    classes.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(line: &str) -> Run {
        runs(line.as_bytes()).remove(0)
    }

    #[test]
    fn colours_become_classes() {
        assert_eq!(one("\x1b[1;31mFAIL"), Run { class: "f1 bold".to_owned(), text: "FAIL".to_owned() });
        assert_eq!(one("\x1b[30;41mx").class, "f0 b1");
        assert_eq!(one("\x1b[7;32mx").class, "r2 inv");
        assert_eq!(one("\x1b[2;4mx").class, "dim under");
        assert_eq!(one("\u{202e}").class, "code-point");
        assert_eq!(one("plain").class, "");
    }

    proptest! {
        #[test]
        fn only_our_own_classes_are_given(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for run in runs(&bytes) {
                prop_assert!(run.class.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || " -".contains(c)));
            }
        }
    }
}
