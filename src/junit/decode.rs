//! Bytes of a report as UTF-8, whatever they were: the reader of XML behind this knows nothing else.
use std::io::{self, Read};

const CHUNK: usize = 32 << 10;
/// Where an XML declaration is looked for.
const HEAD: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Coding {
    Utf8,
    /// Also for windows-1252: its few other characters come out wrong, and nothing breaks.
    Latin1,
    Utf16 {
        big: bool,
    },
}

/// Reads UTF-8 out of bytes in the encoding that they announce. Bytes that mean nothing become U+FFFD.
pub(super) struct Utf8<R> {
    from: R,
    coding: Option<Coding>,
    raw: Vec<u8>,
    ready: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl<R: Read> Utf8<R> {
    pub(super) const fn new(from: R) -> Self {
        Self { from, coding: None, raw: Vec::new(), ready: Vec::new(), taken: 0, ended: false }
    }

    fn fill(&mut self) -> io::Result<()> {
        let before = self.raw.len();
        self.raw.resize(before + CHUNK, 0);
        let count = loop {
            match self.from.read(&mut self.raw[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.raw.truncate(before + count.as_ref().copied().unwrap_or(0));
        self.ended = count? == 0;
        if self.coding.is_none() && self.raw.len() < HEAD && !self.ended {
            return Ok(());
        }
        let coding = *self.coding.get_or_insert_with(|| sniff(&mut self.raw));
        self.ready.clear();
        self.taken = 0;
        let used = match coding {
            Coding::Utf8 => utf8(&self.raw, self.ended, &mut self.ready),
            Coding::Latin1 => {
                self.ready.extend(self.raw.iter().map(|b| char::from(*b)).collect::<String>().into_bytes());
                self.raw.len()
            }
            Coding::Utf16 { big } => utf16(&self.raw, big, self.ended, &mut self.ready),
        };
        self.raw.drain(..used);
        Ok(())
    }
}

impl<R: Read> Read for Utf8<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.ready.len() && !self.ended {
            self.fill()?;
        }
        let count = buffer.len().min(self.ready.len() - self.taken);
        buffer[..count].copy_from_slice(&self.ready[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

/// The encoding by its mark or declaration; the mark is taken off.
fn sniff(raw: &mut Vec<u8>) -> Coding {
    for (mark, coding) in [
        (&b"\xef\xbb\xbf"[..], Coding::Utf8),
        (b"\xff\xfe", Coding::Utf16 { big: false }),
        (b"\xfe\xff", Coding::Utf16 { big: true }),
    ] {
        if raw.starts_with(mark) {
            raw.drain(..mark.len());
            return coding;
        }
    }
    if raw.starts_with(b"<\0") {
        return Coding::Utf16 { big: false };
    }
    if raw.starts_with(b"\0<") {
        return Coding::Utf16 { big: true };
    }
    let head = String::from_utf8_lossy(&raw[..raw.len().min(HEAD)]).to_ascii_lowercase();
    let declared = head.strip_prefix("<?xml").and_then(|rest| rest.split("?>").next());
    let latin = |text: &str| ["8859-1", "latin1", "windows-1252", "cp1252"].iter().any(|name| text.contains(name));
    if declared.is_some_and(latin) { Coding::Latin1 } else { Coding::Utf8 }
}

/// Valid parts as they are; how many bytes were used. A character cut by the end of the chunk waits for the next.
fn utf8(raw: &[u8], last: bool, out: &mut Vec<u8>) -> usize {
    let mut rest = raw;
    loop {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                out.extend_from_slice(valid.as_bytes());
                return raw.len();
            }
            Err(error) => {
                out.extend_from_slice(&rest[..error.valid_up_to()]);
                rest = &rest[error.valid_up_to()..];
                match error.error_len() {
                    None if !last => return raw.len() - rest.len(),
                    bad => {
                        out.extend_from_slice("\u{fffd}".as_bytes());
                        rest = &rest[bad.unwrap_or(rest.len())..];
                    }
                }
            }
        }
    }
}

fn utf16(raw: &[u8], big: bool, last: bool, out: &mut Vec<u8>) -> usize {
    let unit =
        |pair: &[u8]| if big { u16::from_be_bytes([pair[0], pair[1]]) } else { u16::from_le_bytes([pair[0], pair[1]]) };
    let mut units: Vec<u16> = raw.chunks_exact(2).map(unit).collect();
    // The first half of a pair waits for the second.
    if !last && units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)) {
        units.pop();
    }
    let text: String =
        char::decode_utf16(units.iter().copied()).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    out.extend_from_slice(text.as_bytes());
    if last { raw.len() } else { units.len() * 2 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Hands out a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(buffer.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn decoded(bytes: &[u8], step: usize) -> String {
        let mut out = Vec::new();
        Utf8::new(Slow(bytes, step)).read_to_end(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_encoding_is_known_by_its_mark_or_declaration() {
        let text = "<a>ü𝄞</a>";
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for step in [1, 3, 1000] {
            assert_eq!(decoded(&[b"\xef\xbb\xbf", text.as_bytes()].concat(), step), text);
            assert_eq!(decoded(&[b"\xff\xfe", &le[..]].concat(), step), text);
            assert_eq!(decoded(&[b"\xfe\xff", &be[..]].concat(), step), text);
            assert_eq!(decoded(&le, step), text);
            let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xfc</a>";
            assert!(decoded(latin, step).ends_with("<a>ü</a>"));
            assert_eq!(decoded(b"<a>\xff\xfc</a>\xe2\x82", step), "<a>\u{fffd}\u{fffd}</a>\u{fffd}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_become_text_the_same_in_any_pieces(bytes in prop::collection::vec(any::<u8>(), 0..600), step in 1_usize..40) {
            prop_assert_eq!(decoded(&bytes, step), decoded(&bytes, 10_000));
        }
    }
}
