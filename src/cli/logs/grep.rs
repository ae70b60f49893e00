//! The lines of a stream that match an expression.
use regex::bytes::{Regex, RegexBuilder};

use crate::cli::client::ClientError;

/// Bytes of a compiled expression.
const SIZE: usize = 1 << 20;
/// A line that is longer is looked at in pieces.
const LONGEST: usize = 1 << 20;

/// Reads an expression of the command line.
pub(super) fn expression(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(SIZE).build().map_err(|error| format!("it is no regular expression: {error}"))
}

/// Puts lines together and gives those that match.
pub(super) struct Grep<'a> {
    wanted: &'a Regex,
    line: Vec<u8>,
}

impl<'a> Grep<'a> {
    pub(super) const fn of(wanted: &'a Regex) -> Self {
        Self { wanted, line: Vec::new() }
    }

    /// The next bytes.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        mut give: impl FnMut(&[u8]) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() >= LONGEST {
                self.end(&mut give)?;
            }
        }
        Ok(())
    }

    /// The last line, which may have no end.
    pub(super) fn finish(mut self, mut give: impl FnMut(&[u8]) -> Result<(), ClientError>) -> Result<(), ClientError> {
        if !self.line.is_empty() {
            self.line.push(b'\n');
            self.end(&mut give)?;
        }
        Ok(())
    }

    fn end(&mut self, give: &mut impl FnMut(&[u8]) -> Result<(), ClientError>) -> Result<(), ClientError> {
        let text = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if self.wanted.is_match(text) {
            give(&self.line)?;
        }
        self.line.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grep(pieces: &[&[u8]], wanted: &str) -> Vec<u8> {
        let wanted = expression(wanted).unwrap();
        let mut grep = Grep::of(&wanted);
        let mut got = Vec::new();
        let mut give = |line: &[u8]| {
            got.extend_from_slice(line);
            Ok(())
        };
        pieces.iter().for_each(|piece| grep.push(piece, &mut give).unwrap());
        grep.finish(&mut give).unwrap();
        got
    }

    #[test]
    fn lines_that_match_pass_whole_and_the_last_gets_its_end() {
        assert_eq!(grep(&[b"one err", b"or\r\nfine\nERROR"], "(?i)error$"), b"one error\r\nERROR\n");
        assert!(expression("(").is_err() && expression("(a{1000}){1000}").is_err());
    }

    proptest! {
        #[test]
        fn a_cut_anywhere_changes_nothing(bytes in "[ab\n\r]{0,60}", size in 1usize..9) {
            let pieces: Vec<&[u8]> = bytes.as_bytes().chunks(size).collect();
            prop_assert_eq!(grep(&pieces, "a+b$"), grep(&[bytes.as_bytes()], "a+b$"));
        }
    }
}
