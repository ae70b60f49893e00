use proptest::prelude::*;

use super::*;
use crate::redact::forms;
use crate::start::Pattern;

fn secrets(values: &[&[u8]]) -> Vec<Pattern> {
    let names = ["ONE", "TWO", "THREE", "FOUR", "FIVE"];
    values.iter().zip(names).map(|(value, name)| Pattern { name: name.to_owned(), value: value.to_vec() }).collect()
}

fn redact_pieces<'a>(secrets: &[Pattern], pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut redactor = Redactor::new(Patterns::new(secrets).unwrap());
    let mut out = Vec::new();
    for piece in pieces {
        redactor.push(piece, &mut out);
    }
    redactor.finish(&mut out);
    out
}

fn redact(values: &[&[u8]], text: &[u8]) -> String {
    let out = redact_pieces(&secrets(values), [text].into_iter());
    String::from_utf8(out).unwrap()
}

/// The same by brute force over the whole text.
fn reference(secrets: &[Pattern], text: &[u8]) -> Vec<u8> {
    let mut matches = Vec::new();
    for (owner, secret) in secrets.iter().enumerate() {
        for form in forms::of(&secret.value) {
            for start in 0..text.len() {
                if text[start..].starts_with(&form) {
                    matches.push((start, start + form.len(), owner));
                }
            }
        }
    }
    matches.sort_by_key(|(start, end, owner)| (*start, std::cmp::Reverse(*end), *owner));
    let (mut out, mut at) = (Vec::new(), 0);
    let mut matches = matches.into_iter().peekable();
    while let Some((start, mut end, owner)) = matches.next() {
        out.extend_from_slice(&text[at..start]);
        out.extend_from_slice(format!("[secret {}]", secrets[owner].name).as_bytes());
        while let Some((_, further, _)) = matches.next_if(|(next, ..)| *next <= end) {
            end = end.max(further);
        }
        at = end;
    }
    out.extend_from_slice(&text[at..]);
    out
}

#[test]
fn a_secret_is_replaced_by_its_name() {
    assert_eq!(redact(&[b"hunter22"], b"a hunter22 b\n"), "a [secret ONE] b\n");
}

#[test]
fn a_secret_that_is_the_beginning_of_another_hides_both() {
    let values: [&[u8]; 2] = [b"password", b"password-long"];
    assert_eq!(redact(&values, b"password-lon"), "[secret ONE]-lon");
    assert_eq!(redact(&values, b"xpassword-long"), "x[secret TWO]");
}

#[test]
fn overlapping_and_touching_secrets_become_one() {
    let values: [&[u8]; 2] = [b"abcdef", b"defghi"];
    assert_eq!(redact(&values, b".abcdefghi."), ".[secret ONE].");
    assert_eq!(redact(&values, b".abcdefabcdef."), ".[secret ONE].");
}

#[test]
fn encoded_secrets_are_replaced_too() {
    for text in ["aHVudGVyMjI=", "68756e7465723232", "hunter22"] {
        assert!(!redact(&[b"hunter22"], text.as_bytes()).contains(&text[..6]), "{text}");
    }
    assert_eq!(redact(&[b"a\"b\nc/d"], br#"{"k":"a\"b\nc/d"}"#), r#"{"k":"[secret ONE]"}"#);
}

#[test]
fn a_byte_waits_only_while_it_can_be_the_beginning_of_a_secret() {
    let mut redactor = Redactor::new(Patterns::new(&secrets(&[b"hunter22"])).unwrap());
    let mut out = Vec::new();
    redactor.push(b"say hunt", &mut out);
    assert_eq!((out.as_slice(), redactor.held()), (&b"say "[..], 4));
    redactor.push(b"!", &mut out);
    assert_eq!((out.as_slice(), redactor.held()), (&b"say hunt!"[..], 0));
}

#[test]
fn a_complete_secret_is_shown_as_replaced_at_once() {
    let mut redactor = Redactor::new(Patterns::new(&secrets(&[b"hunter--"])).unwrap());
    let mut out = Vec::new();
    redactor.push(b"token: hunter--", &mut out);
    assert_eq!(out, b"token: [secret ONE]");
}

#[test]
fn a_value_added_while_its_beginning_waits_is_masked() {
    let both = secrets(&[b"hunter22", b"terrible"]);
    let mut redactor = Redactor::new(Patterns::new(&both[..1]).unwrap());
    let mut out = Vec::new();
    redactor.push(b"a hunter", &mut out);
    redactor.replace_patterns(Patterns::new(&both).unwrap(), &mut out);
    redactor.push(b"rible", &mut out);
    redactor.finish(&mut out);
    assert_eq!(out, b"a hun[secret TWO]");
}

#[test]
fn without_secrets_everything_passes_at_once() {
    let mut redactor = Redactor::new(Patterns::new(&[]).unwrap());
    let mut out = Vec::new();
    redactor.push(b"\0any\xff", &mut out);
    assert_eq!(out, b"\0any\xff");
}

/// Most of a stream is passed over in leaps: no secret may be leapt over, wherever it stands and the stream is cut.
#[test]
fn a_secret_is_found_wherever_it_stands_and_wherever_the_stream_is_cut() {
    let secrets = secrets(&[b"00112233445566778899aabbccddeeff", b"0011223344556677-another-0011223"]);
    let patterns = Patterns::new(&secrets).unwrap();
    for form in secrets.iter().flat_map(|secret| forms::of(&secret.value)) {
        for before in 0..20 {
            let text = [&b"without 0011 a start"[..before], &form, b"0011 and on"].concat();
            let expected = patterns.redact(&text);
            assert_eq!(String::from_utf8_lossy(&expected), String::from_utf8_lossy(&reference(&secrets, &text)));
            for cut in 0..text.len() {
                let (mut redactor, mut out) = (Redactor::new(patterns.clone()), Vec::new());
                redactor.push(&text[..cut], &mut out);
                redactor.push(&text[cut..], &mut out);
                redactor.finish(&mut out);
                assert_eq!(out, expected, "{before} bytes before it, cut at {cut}");
            }
        }
    }
}

#[test]
fn five_hundred_secrets_fit() {
    let many: Vec<Pattern> = (0..500)
        .map(|n| Pattern { name: format!("S{n}"), value: format!("s3cr3t/{n:04}/{}$", n * 7919).into_bytes() })
        .collect();
    let text = format!("x {} y", String::from_utf8_lossy(&many[321].value));
    let out = redact_pieces(&many, text.as_bytes().chunks(1));
    assert_eq!(out, b"x [secret S321] y");
}

#[test]
fn values_that_cannot_be_masked_are_refused_by_name() {
    let error = Patterns::new(&secrets(&[b"abc"])).err().unwrap();
    assert!(error.to_string().contains("ONE"));
    let huge: Vec<Pattern> = (0..100u8)
        .map(|n| Pattern { name: "BIG".into(), value: (0..60_000u32).map(|i| (i * 31 + u32::from(n)) as u8).collect() })
        .collect();
    assert!(Patterns::new(&huge).is_err());
}

fn small_text(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b"abAB$\n'".to_vec()), length)
}

proptest! {
    #[test]
    fn any_cut_of_the_stream_gives_what_the_whole_gives(
        values in prop::collection::vec(small_text(5..9), 1..4),
        text in small_text(0..200),
        cuts in prop::collection::vec(1usize..20, 1..20),
    ) {
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        let secrets = secrets(&values);
        prop_assume!(Patterns::new(&secrets).is_ok());
        let mut rest = text.as_slice();
        let mut cuts = cuts.iter().cycle();
        let pieces = std::iter::from_fn(|| {
            let (piece, tail) = rest.split_at((*cuts.next()?).min(rest.len()));
            rest = tail;
            (!piece.is_empty()).then_some(piece)
        });
        let out = redact_pieces(&secrets, pieces);
        let expected = reference(&secrets, &text);
        prop_assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&expected));
    }

    #[test]
    fn no_form_of_a_secret_is_in_the_output(
        value in prop::collection::vec(any::<u8>(), 8..40),
        before in prop::collection::vec(any::<u8>(), 0..40),
        after in prop::collection::vec(any::<u8>(), 0..40),
        pick: prop::sample::Index,
        size in 1usize..9,
    ) {
        let secrets = secrets(&[&value]);
        let forms: Vec<Vec<u8>> = forms::of(&value).into_iter().collect();
        let text = [&before[..], &forms[pick.index(forms.len())], &after].concat();
        let out = redact_pieces(&secrets, text.chunks(size));
        for form in &forms {
            prop_assert!(!out.windows(form.len()).any(|window| window == form));
        }
    }

    #[test]
    fn new_values_never_uncover_old_ones(
        text in small_text(20..120),
        old in small_text(5..8),
        new in small_text(5..8),
        cut: prop::sample::Index,
    ) {
        let both = secrets(&[&old, &new]);
        prop_assume!(Patterns::new(&both).is_ok());
        let (head, tail) = text.split_at(cut.index(text.len()));
        let mut redactor = Redactor::new(Patterns::new(&both[..1]).unwrap());
        let mut out = Vec::new();
        redactor.push(head, &mut out);
        redactor.replace_patterns(Patterns::new(&both).unwrap(), &mut out);
        redactor.push(tail, &mut out);
        redactor.finish(&mut out);
        for form in forms::of(&old) {
            prop_assert!(!out.windows(form.len()).any(|window| window == form));
        }
    }
}
