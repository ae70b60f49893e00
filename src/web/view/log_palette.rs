//! The colours of a log as classes of the style sheet: readable on the log's dark ground, whatever a step asks for.
use crate::logs::Colour;

/// What a terminal would show for each class `f0` to `f23`; the style sheet has a readable neighbour of it.
const SHOWN: [(u8, u8, u8); 24] = [
    (0, 0, 0),
    (205, 0, 0),
    (0, 205, 0),
    (205, 205, 0),
    (0, 0, 238),
    (205, 0, 205),
    (0, 205, 205),
    (229, 229, 229),
    (127, 127, 127),
    (255, 0, 0),
    (0, 255, 0),
    (255, 255, 0),
    (92, 92, 255),
    (255, 0, 255),
    (0, 255, 255),
    (255, 255, 255),
    (255, 135, 0),
    (255, 135, 175),
    (135, 95, 215),
    (0, 135, 135),
    (135, 175, 0),
    (175, 135, 95),
    (95, 175, 255),
    (175, 0, 95),
];

/// The number of the class nearest to a colour.
pub(super) fn class(colour: Colour) -> usize {
    let (red, green, blue) = match colour {
        Colour::Index(n @ 0..=15) => return usize::from(n),
        Colour::Index(n @ 16..=231) => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let n = n - 16;
            (level(n / 36), level(n / 6 % 6), level(n % 6))
        }
        Colour::Index(n) => (8 + 10 * (n - 232), 8 + 10 * (n - 232), 8 + 10 * (n - 232)),
        Colour::Rgb(red, green, blue) => (red, green, blue),
    };
    let far = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
    let distance = |of: &(u8, u8, u8)| far(of.0, red) + far(of.1, green) + far(of.2, blue);
    let nearest = SHOWN.iter().enumerate().min_by_key(|(_, shown)| distance(shown));
    nearest.map_or(7, |(number, _)| number)
}

/// The same for grounds: eight dark ones, on which every text is readable.
pub(super) fn ground(colour: Colour) -> usize {
    match class(colour) {
        n @ 0..=7 => n,
        n @ 8..=15 => n - 8,
        16 | 21 => 3,
        17 | 18 | 23 => 5,
        19 => 6,
        20 => 2,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_has_a_class() {
        assert_eq!(class(Colour::Index(9)), 9);
        assert_eq!(class(Colour::Index(208)), 16);
        assert_eq!(class(Colour::Index(232)), 0);
        assert_eq!(class(Colour::Index(255)), 7);
        assert_eq!(class(Colour::Rgb(250, 10, 10)), 9);
        for n in 0..=255 {
            assert!(class(Colour::Index(n)) < SHOWN.len() && ground(Colour::Index(n)) < 8);
        }
    }

    /// Relative luminance, as WCAG defines it.
    fn luminance(hex: &str) -> f64 {
        let part = |at: usize| {
            let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_text_is_readable_on_every_ground() {
        let css = include_str!("../../../static/log.css");
        let value = |rule: String| {
            let at = css.find(&rule).unwrap_or_else(|| panic!("no {rule}")) + rule.len();
            css[at..at + 6].to_owned()
        };
        let fronts: Vec<String> = (0..24).map(|n| value(format!(".f{n} {{ color: #"))).collect();
        let mut grounds: Vec<String> = (0..8).map(|n| value(format!(".b{n} {{ background: #"))).collect();
        grounds.extend(["10151c".to_owned(), "090c10".to_owned()]);
        for front in fronts.iter().map(String::as_str).chain(["d5dde8"]) {
            for ground in &grounds {
                assert!(contrast(front, ground) >= 4.5, "{front} on {ground}: {}", contrast(front, ground));
            }
        }
    }
}
