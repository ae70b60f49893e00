//! A line of a log as text that does nothing: no escape sequences, no control characters, no
//! characters that turn the direction of writing.

/// Characters of one line that are shown; the rest is in the raw log.
const LONGEST: usize = 4096;

/// The bytes of a line, without its end, as they are shown.
pub(in crate::web) fn clean(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // A progress bar rewrites its line: the last state is what a terminal would show.
    let line = line.rsplit(|b| *b == b'\r').next().unwrap_or(line);
    let seen = &line[..line.len().min(LONGEST * 4)];
    let text = String::from_utf8_lossy(seen);
    let mut out = String::with_capacity(text.len());
    let mut count = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if count == LONGEST {
            break;
        }
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\t' => out.push('\t'),
            c if c.is_control() => continue,
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
        count += 1;
    }
    if count == LONGEST || seen.len() < line.len() {
        out.push_str(" … (cut here; the raw log has all of it)");
    }
    out
}

fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        // Colours, cursor moves: parameters up to one final letter.
        Some('[') => {
            while let Some(c) = chars.next_if(|c| matches!(c, '\u{20}'..='\u{7e}')) {
                if matches!(c, '@'..='~') {
                    break;
                }
            }
        }
        // Titles and links: up to a bell or ESC \.
        Some(']' | 'P' | '_' | '^' | 'X') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' {
                    break;
                }
                if c == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    break;
                }
            }
        }
        Some('(' | ')' | '#' | ' ') => {
            chars.next();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn colours_titles_and_links_leave_their_text() {
        assert_eq!(clean(b"\x1b[1;31mFAIL\x1b[0m: x"), "FAIL: x");
        assert_eq!(clean(b"\x1b]0;title\x07text"), "text");
        assert_eq!(clean(b"\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\"), "link");
        assert_eq!(clean(b"10%\r50%\r100%\r"), "100%");
        assert_eq!(clean(b"a\tb\x00\x07c"), "a\tbc");
    }

    #[test]
    fn hostile_bytes_stay_text() {
        assert_eq!(clean(b"<script>alert(1)</script>"), "<script>alert(1)</script>");
        assert_eq!(clean(b"\xff\xfe"), "\u{fffd}\u{fffd}");
        assert_eq!(clean("a\u{202e}b".as_bytes()), "a\u{fffd}b");
        assert!(clean(&vec![b'x'; 1 << 20]).len() < 5000);
    }

    proptest! {
        #[test]
        fn no_control_character_is_ever_shown(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(clean(&bytes).chars().all(|c| !c.is_control() || c == '\t'));
        }
    }
}
