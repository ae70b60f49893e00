//! How addresses, JSON and shells write a value.

use std::collections::BTreeSet;

/// Percent-encoded, as the common libraries do it: they differ in what they leave alone, in the
/// case of the digits and in the space.
pub(super) fn url(value: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    for left_alone in [&b""[..], b"/", b"!'()*", b";,/?:@&=+$-_.!~*'()#"] {
        for upper in [true, false] {
            for plus in [true, false] {
                let mut form = Vec::with_capacity(value.len() * 3);
                for byte in value {
                    match byte {
                        b' ' if plus => form.push(b'+'),
                        b'-' | b'_' | b'.' | b'~' => form.push(*byte),
                        _ if byte.is_ascii_alphanumeric() => form.push(*byte),
                        _ if left_alone.contains(byte) => form.push(*byte),
                        _ if upper => form.extend(format!("%{byte:02X}").bytes()),
                        _ => form.extend(format!("%{byte:02x}").bytes()),
                    }
                }
                forms.insert(form);
            }
        }
    }
    forms
}

/// Inside a JSON string: with and without escaped slashes, with and without escapes for what is
/// not ASCII, and as encoders that think of HTML write it.
pub(super) fn json(value: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    for slash in [true, false] {
        for html in [true, false] {
            forms.insert(json_bytes(value, slash, html));
        }
    }
    if let Ok(text) = str::from_utf8(value) {
        for upper in [true, false] {
            forms.insert(json_ascii(text, upper));
        }
    }
    forms
}

fn json_short(byte: u8) -> Option<&'static [u8]> {
    Some(match byte {
        b'"' => b"\\\"",
        b'\\' => b"\\\\",
        b'\n' => b"\\n",
        b'\r' => b"\\r",
        b'\t' => b"\\t",
        8 => b"\\b",
        12 => b"\\f",
        _ => return None,
    })
}

fn json_bytes(value: &[u8], slash: bool, html: bool) -> Vec<u8> {
    let mut form = Vec::with_capacity(value.len() * 2);
    for byte in value {
        match json_short(*byte) {
            Some(escape) => form.extend_from_slice(escape),
            None if *byte < 32 => form.extend(format!("\\u{byte:04x}").bytes()),
            None if slash && *byte == b'/' => form.extend_from_slice(b"\\/"),
            None if html && b"<>&".contains(byte) => {
                form.extend(format!("\\u{byte:04x}").bytes());
            }
            None => form.push(*byte),
        }
    }
    form
}

fn json_ascii(text: &str, upper: bool) -> Vec<u8> {
    let mut form = Vec::with_capacity(text.len() * 2);
    let mut units = [0; 2];
    for character in text.chars() {
        match u8::try_from(u32::from(character)).ok().filter(u8::is_ascii) {
            Some(byte) if json_short(byte).is_some() => {
                form.extend_from_slice(json_short(byte).unwrap_or_default());
            }
            Some(byte) if byte >= 32 && byte != 127 => form.push(byte),
            _ => {
                for unit in character.encode_utf16(&mut units) {
                    let escape = if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
                    form.extend(escape.bytes());
                }
            }
        }
    }
    form
}

/// As a shell would print or need it: within single quotes (two ways to write the quote itself),
/// within double quotes, with backslashes, and as `$'…'`.
pub(super) fn shell(value: &[u8]) -> BTreeSet<Vec<u8>> {
    let each = |escape: &dyn Fn(u8) -> Vec<u8>| value.iter().flat_map(|b| escape(*b)).collect();
    let mut forms = BTreeSet::new();
    for quote in [&b"'\\''"[..], b"'\"'\"'"] {
        forms.insert(each(&|byte| match byte {
            b'\'' => quote.to_vec(),
            _ => vec![byte],
        }));
    }
    for special in [&b"\"\\$`"[..], b"\"\\$`!", b"'\\"] {
        forms.insert(each(&|byte| match byte {
            _ if special.contains(&byte) => vec![b'\\', byte],
            _ => vec![byte],
        }));
    }
    // `printf %q`, with and without the characters that only some shells escape.
    for plain in [&b"-_./:=@%+"[..], b"-_./:=@%+,", b"-_./:=@%+,~^"] {
        forms.insert(each(&|byte| match byte {
            _ if byte.is_ascii_alphanumeric() || plain.contains(&byte) || byte >= 128 => vec![byte],
            _ => vec![b'\\', byte],
        }));
    }
    for octal in [true, false] {
        forms.insert(each(&|byte| ansi_c(byte, octal)));
    }
    forms
}

fn ansi_c(byte: u8, octal: bool) -> Vec<u8> {
    match byte {
        b'\'' | b'\\' => vec![b'\\', byte],
        b'\n' => b"\\n".to_vec(),
        b'\t' => b"\\t".to_vec(),
        b'\r' => b"\\r".to_vec(),
        7 => b"\\a".to_vec(),
        8 => b"\\b".to_vec(),
        11 => b"\\v".to_vec(),
        12 => b"\\f".to_vec(),
        27 => b"\\E".to_vec(),
        _ if byte < 32 || byte == 127 || (octal && byte >= 128) => format!("\\{byte:03o}").into_bytes(),
        _ => vec![byte],
    }
}

/// With each `$` written twice, as make and compose files need it.
pub(super) fn doubled_dollars(value: &[u8]) -> Vec<u8> {
    value.iter().flat_map(|byte| std::iter::repeat_n(*byte, if *byte == b'$' { 2 } else { 1 })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_encoded_as_the_common_libraries_do() {
        let forms = url("a b/c&ü'".as_bytes());
        for form in [
            "a%20b%2Fc%26%C3%BC%27",
            "a%20b%2fc%26%c3%bc%27",
            "a+b%2Fc%26%C3%BC%27",
            "a%20b/c%26%C3%BC%27",
            "a%20b%2Fc%26%C3%BC'",
            "a%20b/c&%C3%BC'",
        ] {
            assert!(forms.contains(form.as_bytes()), "{form}");
        }
    }

    #[test]
    fn json_is_escaped_as_the_common_encoders_do() {
        let forms = json("a\"b\\c\n/<ü😀".as_bytes());
        for form in [
            r#"a\"b\\c\n/<ü😀"#,
            r#"a\"b\\c\n\/<ü😀"#,
            r#"a\"b\\c\n/\u003cü😀"#,
            r#"a\"b\\c\n/<\u00fc\ud83d\ude00"#,
            r#"a\"b\\c\n/<\u00FC\uD83D\uDE00"#,
        ] {
            assert!(forms.contains(form.as_bytes()), "{form}");
        }
    }

    #[test]
    fn shells_quote_in_their_several_ways() {
        let forms = shell("it's $5 \\ \"x\"\nü".as_bytes());
        for form in [
            "it'\\''s $5 \\ \"x\"\nü",
            "it'\"'\"'s $5 \\ \"x\"\nü",
            "it's \\$5 \\\\ \\\"x\\\"\nü",
            "it\\'s\\ \\$5\\ \\\\\\ \\\"x\\\"\\\nü",
            "it\\'s $5 \\\\ \"x\"\\nü",
            "it\\'s $5 \\\\ \"x\"\\n\\303\\274",
        ] {
            assert!(forms.contains(form.as_bytes()), "{form}");
        }
    }

    #[test]
    fn dollars_are_doubled_for_make() {
        assert_eq!(doubled_dollars(b"a$b$"), b"a$$b$$");
    }
}
