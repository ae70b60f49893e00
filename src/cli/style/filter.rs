//! A log on a terminal: colours pass, whatever else a terminal obeys does not.
use super::plain::is_hostile;

/// Parameters of a colour are never longer.
const LONGEST: usize = 32;
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();
const RESET: &[u8] = b"\x1b[0m";

/// Filters a log in pieces that may be cut anywhere.
#[derive(Debug)]
pub struct Filter {
    colour: bool,
    coloured: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Text(Vec<u8>),
    Escape,
    Parameters(Vec<u8>),
}

impl Filter {
    /// Lets colours pass or takes them out.
    pub const fn new(colour: bool) -> Self {
        Self { colour, coloured: false, state: State::Text(Vec::new()) }
    }

    /// The next bytes, harmless. A character or colour that is not whole yet comes with the next piece.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for byte in bytes {
            self.byte(*byte, &mut out);
        }
        out
    }

    /// What was held back, and the end of a colour that was left on.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.give_up(&mut out);
        if std::mem::take(&mut self.coloured) {
            out.extend_from_slice(RESET);
        }
        out
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        match &mut self.state {
            State::Escape if byte == b'[' => self.state = State::Parameters(Vec::new()),
            State::Parameters(parameters) if byte == b'm' => {
                if self.colour {
                    out.extend_from_slice(b"\x1b[");
                    out.extend_from_slice(parameters);
                    out.push(b'm');
                    self.coloured = !matches!(parameters.as_slice(), b"" | b"0");
                }
                self.state = State::Text(Vec::new());
            }
            State::Parameters(parameters)
                if (byte.is_ascii_digit() || matches!(byte, b';' | b':')) && parameters.len() < LONGEST =>
            {
                parameters.push(byte);
            }
            State::Escape | State::Parameters(_) => {
                self.give_up(out);
                self.text(byte, out);
            }
            State::Text(_) => self.text(byte, out),
        }
    }

    fn text(&mut self, byte: u8, out: &mut Vec<u8>) {
        let State::Text(held) = &mut self.state else { return };
        if !held.is_empty() {
            held.push(byte);
            match std::str::from_utf8(held) {
                Ok(text) => {
                    let hostile = text.chars().any(is_hostile);
                    out.extend_from_slice(if hostile { REPLACEMENT } else { held });
                    held.clear();
                    return;
                }
                Err(error) if error.error_len().is_none() => return,
                Err(_) => {
                    // The byte begins anew what the held ones did not go on with.
                    held.clear();
                    out.extend_from_slice(REPLACEMENT);
                }
            }
        }
        match byte {
            b'\n' | b'\t' | b'\r' | b' '..=b'~' => out.push(byte),
            0x1b => self.state = State::Escape,
            0xc2..=0xf4 => held.push(byte),
            _ => out.extend_from_slice(REPLACEMENT),
        }
    }

    /// What was begun is no colour or no character: it is shown as text.
    fn give_up(&mut self, out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.state, State::Text(Vec::new())) {
            State::Text(held) if held.is_empty() => {}
            State::Text(_) | State::Escape => out.extend_from_slice(REPLACEMENT),
            State::Parameters(parameters) => {
                out.extend_from_slice(REPLACEMENT);
                out.push(b'[');
                out.extend_from_slice(&parameters);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(pieces: &[&[u8]]) -> String {
        let mut filter = Filter::new(true);
        let mut out: Vec<u8> = pieces.iter().flat_map(|piece| filter.push(piece)).collect();
        out.extend(filter.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn colours_pass_and_commands_do_not() {
        let log = "\u{1b}[1;31mFAIL\u{1b}[m\r\n\u{1b}[2Jgone\u{1b}]0;title\u{7}\u{8}\u{9b}é€🌊\u{202e}x\u{1b}[32m";
        let shown = "\u{1b}[1;31mFAIL\u{1b}[m\r\n\u{fffd}[2Jgone\u{fffd}]0;title\u{fffd}\u{fffd}\u{fffd}é€🌊\u{fffd}x\u{1b}[32m\u{1b}[0m";
        assert_eq!(filter(&[log.as_bytes()]), shown);
        assert_eq!(filter(&[b"a\xff\xe2\x82b\x1b"]), "a\u{fffd}\u{fffd}b\u{fffd}");
        let mut bare = Filter::new(false);
        assert_eq!(bare.push(b"\x1b[31mred\x1b[0m"), b"red");
    }

    proptest! {
        #[test]
        fn a_cut_changes_nothing_and_only_colours_escape(
            bytes in proptest::collection::vec(
                prop_oneof![Just(0x1b), Just(b'['), Just(b'm'), Just(b'1'), Just(0xe2), Just(0x82), any::<u8>()], 0..200),
            size in 1usize..9,
        ) {
            let whole = filter(&[&bytes]);
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(filter(&pieces), whole.clone());
            for after in whole.split('\u{1b}').skip(1) {
                let parameters = after.strip_prefix('[').unwrap();
                let end = parameters.find(|c: char| !c.is_ascii_digit() && !";:".contains(c)).unwrap();
                prop_assert!(parameters[end..].starts_with('m'));
            }
            let passes = |c: char| !is_hostile(c) || matches!(c, '\n' | '\r' | '\t' | '\x1b');
            prop_assert!(whole.chars().all(passes));
        }
    }
}
