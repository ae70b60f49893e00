//! A line of a log as text with colours, and as text alone. Neither can do anything to who reads it.
use super::escape::{Part, Parts};

/// Pieces of one line; beyond, colours stay as they are.
const MOST: usize = 128;

/// A colour as a step asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// One of the 256 of a terminal.
    Index(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// The colour of the text.
    pub front: Option<Colour>,
    /// The colour behind it.
    pub back: Option<Colour>,
    /// Heavier.
    pub bold: bool,
    /// Weaker.
    pub dim: bool,
    /// Slanted.
    pub italic: bool,
    /// With a line below.
    pub underline: bool,
    /// With a line through it.
    pub strike: bool,
    /// Front and back changed.
    pub inverse: bool,
    /// A character that is shown by its number, because it would turn the direction of writing.
    pub code: bool,
}

/// Text in one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// How it looks.
    pub style: Style,
    /// Without control characters but tabs; it may still hold markup.
    pub text: String,
}

/// A line as spans. Colours begin anew on each line, so that a line looks the same in every window.
pub fn spans(line: &[u8]) -> Vec<Span> {
    let line = String::from_utf8_lossy(line);
    let mut spans: Vec<Span> = Vec::new();
    let mut style = Style::default();
    let mut put = |style: Style, text: &str| match spans.len() {
        full if full == MOST || spans.last().is_some_and(|last| last.style == style) => {
            if let Some(last) = spans.last_mut() {
                last.text.push_str(text);
            }
        }
        _ => spans.push(Span { style, text: text.to_owned() }),
    };
    for part in Parts::new(&line) {
        match part {
            Part::Char(c) => put(style, c.encode_utf8(&mut [0; 4])),
            Part::Turn(c) => put(Style { code: true, ..Style::default() }, &number(c)),
            Part::Style(parameters) => change(&mut style, parameters),
        }
    }
    spans
}

/// The text of a line alone.
pub fn plain(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let mut text = String::with_capacity(line.len());
    for part in Parts::new(&line) {
        match part {
            Part::Char(c) => text.push(c),
            Part::Turn(c) => text.push_str(&number(c)),
            Part::Style(_) => {}
        }
    }
    text
}

fn number(c: char) -> String {
    format!("<U+{:04X}>", u32::from(c))
}

/// Applies the parameters of one sequence; what is unknown changes nothing.
fn change(style: &mut Style, parameters: &str) {
    let mut codes =
        parameters.split([';', ':']).map(|code| if code.is_empty() { Some(0) } else { code.parse::<u16>().ok() });
    while let Some(code) = codes.next() {
        match code {
            Some(0) => *style = Style::default(),
            Some(1) => style.bold = true,
            Some(2) => style.dim = true,
            Some(3) => style.italic = true,
            Some(4) => style.underline = true,
            Some(7) => style.inverse = true,
            Some(9) => style.strike = true,
            Some(22) => (style.bold, style.dim) = (false, false),
            Some(23) => style.italic = false,
            Some(24) => style.underline = false,
            Some(27) => style.inverse = false,
            Some(29) => style.strike = false,
            Some(n @ 30..=37) => style.front = Some(Colour::Index((n - 30) as u8)),
            Some(n @ 90..=97) => style.front = Some(Colour::Index((n - 82) as u8)),
            Some(n @ 40..=47) => style.back = Some(Colour::Index((n - 40) as u8)),
            Some(n @ 100..=107) => style.back = Some(Colour::Index((n - 92) as u8)),
            Some(38) => style.front = colour(&mut codes).or(style.front),
            Some(48) => style.back = colour(&mut codes).or(style.back),
            Some(39) => style.front = None,
            Some(49) => style.back = None,
            _ => {}
        }
    }
}

fn colour(codes: &mut impl Iterator<Item = Option<u16>>) -> Option<Colour> {
    let mut byte = || u8::try_from(codes.next()??).ok();
    match byte()? {
        5 => byte().map(Colour::Index),
        2 => Some(Colour::Rgb(byte()?, byte()?, byte()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn colours_titles_and_links_leave_their_text() {
        assert_eq!(plain(b"\x1b[1;31mFAIL\x1b[0m: x"), "FAIL: x");
        assert_eq!(plain(b"\x1b]0;title\x07text"), "text");
        assert_eq!(plain(b"\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\"), "link");
        assert_eq!(plain(b"\x1b]52;c;aGVsbG8=\x07copied"), "copied");
        assert_eq!(plain(b"\x1b[2J\x1b[3;4H\x1b[Ka\x1b(B\x1b7b"), "ab");
        assert_eq!(plain("\u{9b}31mred\u{9d}8;;x\u{9c}!".as_bytes()), "red!");
        assert_eq!(plain(b"a\tb\x00\x07c\x08"), "a\tbc");
        assert_eq!(plain(b"a\x1b"), "a");
    }

    #[test]
    fn hostile_bytes_stay_text() {
        assert_eq!(plain(b"<script>alert(1)</script>"), "<script>alert(1)</script>");
        assert_eq!(plain(b"\xff\xfe"), "\u{fffd}\u{fffd}");
        assert_eq!(plain("a\u{202e}b".as_bytes()), "a<U+202E>b");
        let spans = spans("a\u{202e}b".as_bytes());
        assert!(spans[1].style.code && !spans[0].style.code);
    }

    #[test]
    fn every_kind_of_colour_is_understood() {
        let style = |codes: &str| spans(format!("\x1b[{codes}mx").as_bytes())[0].style;
        assert_eq!(style("31").front, Some(Colour::Index(1)));
        assert_eq!(style("97").front, Some(Colour::Index(15)));
        assert_eq!(style("38;5;208").front, Some(Colour::Index(208)));
        assert_eq!(style("38:2:1:2:3").front, Some(Colour::Rgb(1, 2, 3)));
        assert_eq!(style("48;2;1;2;3").back, Some(Colour::Rgb(1, 2, 3)));
        assert_eq!(
            style("1;2;3;4;7;9"),
            Style {
                bold: true,
                dim: true,
                italic: true,
                underline: true,
                inverse: true,
                strike: true,
                ..Style::default()
            }
        );
        for nothing in ["", "0", "31;0", "31;39", "1;22", "38;5;999", "38;9", "999", "9999999"] {
            assert_eq!(style(nothing), Style::default(), "{nothing}");
        }
    }

    #[test]
    fn a_line_of_colours_alone_stays_small() {
        let line = "\x1b[31ma\x1b[32mb".repeat(10_000);
        assert!(spans(line.as_bytes()).len() <= MOST);
    }

    proptest! {
        #[test]
        fn no_control_character_is_ever_shown(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(plain(&bytes).chars().all(|c| !c.is_control() || c == '\t'));
            let text: String = spans(&bytes).into_iter().map(|span| span.text).collect();
            prop_assert_eq!(text, plain(&bytes));
        }

        #[test]
        fn no_sequence_swallows_more_than_itself(codes in "[0-9;:?<>=]{0,12}", text in "[a-z]{1,20}") {
            let line = format!("\x1b[{codes}m{text}");
            prop_assert_eq!(plain(line.as_bytes()), text);
        }
    }
}
