//! Texts of a report: references resolved, lengths bounded, nothing in them that moves a cursor.
use sha2::Digest as _;

/// Bytes kept of a text while it is read.
pub(super) const RAW: usize = 16 << 10;
/// Characters of a name.
const NAME: usize = 300;
/// Characters of a message.
pub(super) const MESSAGE: usize = 4000;

/// Adds to a text, up to its limit.
pub(super) fn append(text: &mut String, more: &str) {
    let room = RAW.saturating_sub(text.len());
    text.push_str(head(more, room));
}

/// The longest beginning of at most `bytes`.
fn head(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// An attribute's value: the five named references and those by number; any other stays as it is written.
pub(super) fn resolved(value: &str) -> String {
    let value = head(value, RAW);
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(12).position(|b| b == b';');
        match end.and_then(|end| Some((end, reference(&rest[1..end])?))) {
            Some((end, c)) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// What a reference stands for, without a DTD.
pub(super) fn reference(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

/// A name on one line. A longer one ends in a digest, so that two of them stay two.
pub(super) fn name(text: &str) -> String {
    let line: String = text.trim().chars().map(|c| if c.is_whitespace() { ' ' } else { visible(c) }).collect();
    if line.chars().count() <= NAME {
        return line;
    }
    let digest = hex::encode(&sha2::Sha256::digest(line.as_bytes())[..4]);
    let short: String = line.chars().take(NAME - 10).collect();
    format!("{short}… {digest}")
}

/// A message of several lines, cut where it is too long.
pub(super) fn message(text: &str) -> String {
    let clean = |c: char| if matches!(c, '\n' | '\t') { c } else { visible(c) };
    let text = text.trim_matches(|c: char| c == '\n' || c == '\r').trim_end().replace("\r\n", "\n");
    let mut out: String = text.chars().take(MESSAGE).map(clean).collect();
    if text.chars().nth(MESSAGE).is_some() {
        out.push_str("\n… (cut here)");
    }
    out
}

fn visible(c: char) -> char {
    match c {
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// Seconds as runners write them: `1.5`, `0,25`, `1,234.5`, `1.234,5`, `3s`. What is no time is 0.
pub(super) fn millis(text: &str) -> u64 {
    let text = text.trim().trim_end_matches('s').trim_end();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = match text.rfind([',', '.']) {
        Some(at) => {
            let mark = &text[at..=at];
            // One mark again and again groups thousands.
            if text.matches(mark).count() > 1 { (text, "") } else { (&text[..at], &text[at + 1..]) }
        }
        None => (text, ""),
    };
    let whole: String = whole.chars().filter(|c| !matches!(c, ',' | '.' | '\'' | '\u{a0}')).collect();
    if text.contains(['e', 'E']) {
        let seconds: f64 = text.parse().unwrap_or(0.0);
        let held = (seconds * 1000.0).clamp(0.0, f64::from(u32::MAX));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held to the range of u32")]
        return held as u64;
    }
    let whole = if whole.is_empty() { "0" } else { &whole };
    if !digits(whole) || !(fraction.is_empty() || digits(fraction)) {
        return 0;
    }
    let seconds: u64 = whole.parse().unwrap_or(u64::from(u32::MAX));
    let thousandths: u64 = format!("{fraction}000")[..3].parse().unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(thousandths).min(u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_in_every_style() {
        for (text, want) in [
            ("1.5", 1500),
            ("0,25", 250),
            ("1,234.5", 1_234_500),
            ("1.234,5", 1_234_500),
            ("1,234,567", 1_234_567_000),
            ("3s", 3000),
            (".5", 500),
            ("1e-3", 1),
            ("-1", 0),
            ("NaN", 0),
            ("", 0),
            ("99999999999999999999", u64::from(u32::MAX)),
        ] {
            assert_eq!(millis(text), want, "{text}");
        }
    }

    #[test]
    fn references_are_resolved_once_and_unknown_ones_stay() {
        assert_eq!(resolved("a &lt;b&gt; &amp;lt; &#65;&#x42; &lol; & &#xD800;"), "a <b> &lt; AB &lol; & &#xD800;");
    }

    #[test]
    fn long_names_stay_different() {
        let (a, b) = (name(&format!("{}a", "x".repeat(400))), name(&format!("{}b", "x".repeat(400))));
        assert_ne!(a, b);
        assert!(a.chars().count() <= NAME, "{a}");
        assert_eq!(name(" a\n\u{1b}[31m\u{202e}b "), "a \u{fffd}[31m\u{fffd}b");
    }

    proptest! {
        #[test]
        fn no_text_is_too_long_or_panics(text in "\\PC{0,40}|[&#;x0-9a-z,.eE-]{0,40}") {
            let _ = (resolved(&text), millis(&text), name(&text), message(&text));
        }
    }
}
