//! The colours of base.css can be read by everybody: WCAG 2.2 AA, computed from the tokens, light and dark.
use std::collections::BTreeMap;

const CSS: &str = include_str!("../../../static/base.css");

/// Text and what it stands on: at least 4.5 to 1.
const TEXTS: &[(&str, &[&str])] = &[
    ("text", &["bg", "surface", "sunken", "wait-bg", "bad-bg", "run-bg", "ok-bg"]),
    ("muted", &["bg", "surface", "sunken", "wait-bg", "bad-bg", "run-bg", "ok-bg"]),
    ("accent", &["bg", "surface", "sunken", "wait-bg", "bad-bg", "run-bg", "ok-bg"]),
    ("ok", &["ok-bg", "surface", "sunken", "bg"]),
    ("bad", &["bad-bg", "surface", "sunken", "bg"]),
    ("run", &["run-bg", "surface", "sunken", "bg"]),
    ("wait", &["wait-bg", "surface", "sunken", "bg"]),
    ("on-accent", &["accent"]),
    ("log-text", &["log-bg", "log-hit", "log-err"]),
    ("log-muted", &["log-bg", "log-hit", "log-err"]),
    ("log-accent", &["log-bg", "log-hit"]),
];
/// Edges of fields, bars of plots, the ring of focus: at least 3 to 1.
const SHAPES: &[(&str, &[&str])] = &[
    ("edge", &["bg", "surface"]),
    ("accent", &["bg", "surface", "sunken"]),
    ("ok", &["surface"]),
    ("bad", &["surface"]),
    ("run", &["surface", "line"]),
];

type Colours = BTreeMap<String, [String; 2]>;

/// Every token that is a colour, for light and for dark.
fn tokens() -> Colours {
    let layer = &CSS[CSS.find("@layer tokens {").unwrap()..CSS.find("@layer base {").unwrap()];
    let mut tokens = Colours::new();
    for declaration in layer.split(['{', '}', ';']) {
        let Some((name, value)) = declaration.trim().strip_prefix("--").and_then(|text| text.split_once(':')) else {
            continue;
        };
        let colours: Vec<String> = value
            .split(['(', ')', ',', ' '])
            .filter_map(|part| part.strip_prefix('#'))
            .map(|hex| hex.to_owned())
            .collect();
        match &colours[..] {
            [both] => tokens.insert(name.to_owned(), [both.clone(), both.clone()]),
            [light, dark] => tokens.insert(name.to_owned(), [light.clone(), dark.clone()]),
            _ => None,
        };
    }
    tokens
}

fn luminance(hex: &str) -> f64 {
    assert_eq!(hex.len(), 6, "write {hex} with six digits");
    let part = |at: usize| {
        let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
}

fn contrast(one: &str, other: &str) -> f64 {
    let (a, b) = (luminance(one), luminance(other));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn too_faint(pairs: &[(&str, &[&str])], least: f64) -> Vec<String> {
    let tokens = tokens();
    let mut faint = Vec::new();
    for (front, grounds) in pairs {
        for ground in *grounds {
            for (place, theme) in ["light", "dark"].into_iter().enumerate() {
                let ratio = contrast(&tokens[*front][place], &tokens[*ground][place]);
                if ratio < least {
                    faint.push(format!("{theme}: --{front} on --{ground} is {ratio:.2}, wanted {least}"));
                }
            }
        }
    }
    faint
}

#[test]
fn every_text_stands_out_from_its_ground_in_both_themes() {
    let faint = too_faint(TEXTS, 4.5);
    assert!(faint.is_empty(), "{faint:#?}");
}

#[test]
fn every_edge_and_bar_can_be_seen_in_both_themes() {
    let faint = too_faint(SHAPES, 3.0);
    assert!(faint.is_empty(), "{faint:#?}");
}

/// A rule that sets both a colour and a ground is among the pairs that are computed.
#[test]
fn no_rule_pairs_colours_that_nobody_has_checked() {
    let rules = CSS.split('}').filter_map(|rule| rule.rsplit_once('{'));
    let mut unchecked = Vec::new();
    for (_, body) in rules {
        let value = |names: &[&str]| {
            body.split(';').filter_map(|line| line.split_once(':')).find_map(|(key, value)| {
                let token = value.trim().strip_prefix("var(--")?.split(')').next()?;
                names.contains(&key.trim()).then(|| token.to_owned())
            })
        };
        if let (Some(front), Some(ground)) = (value(&["color"]), value(&["background", "background-color"])) {
            let known = TEXTS.iter().any(|(name, grounds)| *name == front && grounds.contains(&ground.as_str()));
            let shape = front == "run" && ground == "line"; // the bar of progress, not a text
            if !known && !shape {
                unchecked.push(format!("--{front} on --{ground}"));
            }
        }
    }
    assert!(unchecked.is_empty(), "{unchecked:?}");
}

#[test]
fn colours_are_written_in_the_tokens_alone() {
    let after = &CSS[CSS.find("@layer base {").unwrap()..];
    for word in after.split(|c: char| c.is_whitespace() || matches!(c, ';' | '(' | ')' | ',')) {
        let hex = word
            .strip_prefix('#')
            .is_some_and(|rest| matches!(rest.len(), 3 | 4 | 6 | 8) && rest.bytes().all(|b| b.is_ascii_hexdigit()));
        assert!(!hex && !word.starts_with("rgb"), "{word}");
    }
}
