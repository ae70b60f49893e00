//! The forms in which programs print a secret.

use std::collections::BTreeSet;

use super::SHORTEST;
use super::escapes;
use crate::base64::{STANDARD, URL_SAFE, digit};

/// The shortest encoded form that is looked for; shorter ones match by chance.
const SHORTEST_ENCODED: usize = 6;

/// The longest value whose single lines are looked for in encoded form too.
const LONGEST_WITH_ENCODED_LINES: usize = 4 << 10;

/// The line lengths at which `base64`, `openssl` and `xxd` wrap.
const WRAPS: [usize; 3] = [76, 64, 60];

/// Every form of a value; none when it is too short to be masked.
pub(super) fn of(value: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    // `$(…)` and `echo` change the newlines at the end, so they are never part of a form.
    let trimmed = trim_newlines(value);
    let value = if trimmed.len() < SHORTEST { value } else { trimmed };
    if value.len() < SHORTEST {
        return forms;
    }
    encoded(value, &mut forms);
    let lines = value.split(|byte| matches!(byte, b'\n' | b'\r'));
    for line in lines.map(<[u8]>::trim_ascii) {
        if line.len() < SHORTEST || line.len() == value.len() {
            continue;
        }
        if value.len() <= LONGEST_WITH_ENCODED_LINES {
            encoded(line, &mut forms);
        } else {
            forms.insert(line.to_vec());
        }
    }
    forms
}

fn trim_newlines(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
    &value[..end]
}

fn encoded(value: &[u8], forms: &mut BTreeSet<Vec<u8>>) {
    forms.insert(value.to_vec());
    for alphabet in [STANDARD, URL_SAFE] {
        for alignment in 0..3 {
            let form = base64_interior(value, alignment, alphabet);
            if alignment == 0 {
                wrapped(&form, forms);
            }
            insert_encoded(form, forms);
        }
    }
    for digits in [b"0123456789abcdef", b"0123456789ABCDEF"] {
        let form = hex(value, digits);
        wrapped(&form, forms);
        insert_encoded(form, forms);
    }
    forms.extend(escapes::url(value));
    forms.extend(escapes::json(value));
    forms.extend(escapes::shell(value));
    forms.insert(escapes::doubled_dollars(value));
}

fn insert_encoded(form: Vec<u8>, forms: &mut BTreeSet<Vec<u8>>) {
    if form.len() >= SHORTEST_ENCODED {
        forms.insert(form);
    }
}

fn wrapped(form: &[u8], forms: &mut BTreeSet<Vec<u8>>) {
    for width in WRAPS {
        if form.len() > width {
            for line in form.chunks(width) {
                insert_encoded(line.to_vec(), forms);
            }
        }
    }
}

/// The characters that depend on the value alone when `alignment` bytes stand before it.
fn base64_interior(value: &[u8], alignment: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let first_bit = alignment * 8;
    let end_bit = first_bit + value.len() * 8;
    let bit = |at: usize| {
        let at = at - first_bit;
        u32::from(value[at / 8] >> (7 - at % 8) & 1)
    };
    (first_bit.div_ceil(6)..end_bit / 6)
        .map(|n| {
            let bits = (n * 6..n * 6 + 6).fold(0, |bits, at| bits << 1 | bit(at));
            digit(alphabet, bits)
        })
        .collect()
}

fn hex(value: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    let digit = |bits: u8| digits[usize::from(bits & 15)];
    value.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base64;
    use proptest::prelude::*;

    fn contains(text: &[u8], form: &[u8]) -> bool {
        text.windows(form.len()).any(|window| window == form)
    }

    fn has(value: &str, text: &str) -> bool {
        of(value.as_bytes()).contains(text.as_bytes())
    }

    #[test]
    fn a_value_below_the_shortest_has_no_forms() {
        assert!(of(b"abc").is_empty());
        assert!(of(b"").is_empty());
        assert!(!of(b"abcd").is_empty());
    }

    #[test]
    fn each_line_of_a_key_is_a_form() {
        let key = "-----BEGIN KEY-----\nMC4CAQAwBQ\r\n ab\n  x: hunter22\n-----END KEY-----\n";
        assert!(has(key, "MC4CAQAwBQ"));
        assert!(has(key, "x: hunter22"));
        assert!(!has(key, "ab"));
        assert!(has(key, key.trim_end()));
    }

    #[test]
    fn hex_is_found_in_both_cases() {
        assert!(has("pass\u{e9}wd", "70617373c3a97764"));
        assert!(has("pass\u{e9}wd", "70617373C3A97764"));
    }

    #[test]
    fn base64_that_a_tool_wrapped_is_found_line_by_line() {
        let value: String = ('!'..'~').collect();
        let text = base64::encode(value.as_bytes());
        assert!(has(&value, &text[..76]));
        assert!(has(&value, &text[64..124]) || has(&value, &text[64..]));
    }

    #[test]
    fn url_safe_base64_is_found() {
        let forms = of(b"\xfb\xff\xfe\xfb\xff\xfe");
        assert!(forms.contains(&b"-__--__-"[..]));
        assert!(forms.contains(&b"+//++//+"[..]));
    }

    proptest! {
        #[test]
        fn base64_is_found_whatever_stands_before_and_after(
            before in prop::collection::vec(any::<u8>(), 0..5),
            value in prop::collection::vec(any::<u8>(), 6..40),
            after in prop::collection::vec(any::<u8>(), 0..5),
        ) {
            let text = base64::encode(&[before.clone(), value.clone(), after].concat());
            let form = base64_interior(&value, before.len() % 3, STANDARD);
            prop_assert!(form.len() >= SHORTEST_ENCODED);
            prop_assert!(contains(text.as_bytes(), &form));
        }
    }
}
