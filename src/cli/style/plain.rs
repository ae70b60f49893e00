//! Texts of others as one harmless line.

/// A text that moves no cursor, changes no colour and turns nothing around. Line ends become spaces.
pub fn plain(text: &str) -> String {
    let harmless = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if is_hostile(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(harmless).collect()
}

/// The same for a line of a log: colours are left out, tabs stay.
pub fn without_colours(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(['\u{1b}', '\t']) {
        shown.push_str(&plain(&rest[..at]));
        let (found, after) = (rest.as_bytes()[at], &rest[at + 1..]);
        let colour = after.strip_prefix('[').and_then(|parameters| {
            let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')?;
            parameters[end..].strip_prefix('m')
        });
        rest = match (found, colour) {
            (0x1b, Some(after)) => after,
            (0x1b, None) => {
                shown.push('\u{fffd}');
                after
            }
            _ => {
                shown.push('\t');
                after
            }
        };
    }
    shown.push_str(&plain(rest));
    shown.trim_end().to_owned()
}

/// Controls of both kinds, and what changes the direction of text or is not seen.
pub(super) fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_text_is_one_harmless_line() {
        assert_eq!(plain("a\u{1b}]0;x\u{7}b\nc\u{202e}d\u{9b}2J"), "a\u{fffd}]0;x\u{fffd}b c\u{fffd}d\u{fffd}2J");
        assert_eq!(plain("Größe ✓"), "Größe ✓");
    }

    #[test]
    fn a_log_line_loses_its_colours_and_nothing_else() {
        assert_eq!(without_colours("\u{1b}[1;31mFAIL\u{1b}[0m\tx\u{1b}[2J\u{1b}"), "FAIL\tx\u{fffd}[2J\u{fffd}");
    }
}
