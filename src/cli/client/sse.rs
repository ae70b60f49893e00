//! Server-sent events, read as the HTML standard says, from pieces cut anywhere.
use std::collections::VecDeque;

/// Bytes of one event. Log bytes come in small events; the state of a job with very many steps is the
/// largest one there is.
const LONGEST: usize = 64 << 20;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Message {
    pub(super) event: String,
    pub(super) data: String,
    /// The last id that the stream had given by then.
    pub(super) id: Option<String>,
}

/// An event is longer than any of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {LONGEST} bytes")]
pub(super) struct TooLong;

/// Puts events together.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    started: bool,
    event: String,
    data: String,
    id: Option<String>,
    ready: VecDeque<Message>,
}

impl Parser {
    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        let mut rest = bytes;
        if std::mem::take(&mut self.after_cr) && !rest.is_empty() {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        } else if rest.is_empty() {
            return Ok(());
        }
        while let Some(end) = rest.iter().position(|b| matches!(b, b'\n' | b'\r')) {
            self.line.extend_from_slice(&rest[..end]);
            let cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
            self.end_of_line()?;
            if cr {
                match rest.first() {
                    None => self.after_cr = true,
                    Some(b'\n') => rest = &rest[1..],
                    Some(_) => {}
                }
            }
        }
        self.line.extend_from_slice(rest);
        if self.line.len() > LONGEST { Err(TooLong) } else { Ok(()) }
    }

    /// The next whole event.
    pub(super) fn pop(&mut self) -> Option<Message> {
        self.ready.pop_front()
    }

    fn end_of_line(&mut self) -> Result<(), TooLong> {
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&bytes);
        let mut line = text.as_ref();
        if !std::mem::replace(&mut self.started, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            self.end_of_event();
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                if self.data.len() + value.len() > LONGEST {
                    return Err(TooLong);
                }
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // A comment (a sign of life), a time to wait, or what a newer standard knows.
            _ => {}
        }
        Ok(())
    }

    fn end_of_event(&mut self) {
        let event = std::mem::take(&mut self.event);
        let mut data = std::mem::take(&mut self.data);
        if data.pop().is_some() {
            self.ready.push_back(Message { event, data, id: self.id.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &str = "\u{feff}: hello\r\n\r\nevent: state\r\nid: 1;;\r\ndata: {\"a\":\"é\"}\r\n\r\nid: 2\rdata:b\rdata: c\r\r:\n\n\
                          event: log\ndata\n\nid: a\0b\nretry: 5\nother: x\ndata:  d\n\nevent: lost\ndata: cut";

    fn read(pieces: &[&[u8]]) -> Vec<Message> {
        let mut parser = Parser::default();
        let mut all = Vec::new();
        for piece in pieces {
            parser.push(piece).unwrap();
            while let Some(message) = parser.pop() {
                all.push(message);
            }
        }
        all
    }

    #[test]
    fn events_are_read_as_the_standard_says_and_an_unfinished_one_is_dropped() {
        let message = |event: &str, data: &str, id: &str| Message {
            event: event.to_owned(),
            data: data.to_owned(),
            id: Some(id.to_owned()),
        };
        let expected = [
            message("state", "{\"a\":\"é\"}", "1;;"),
            message("", "b\nc", "2"),
            message("log", "", "2"),
            message("", " d", "2"),
        ];
        assert_eq!(read(&[STREAM.as_bytes()]), expected);
    }

    #[test]
    fn a_cut_at_any_byte_changes_nothing() {
        let bytes = STREAM.as_bytes();
        let whole = read(&[bytes]);
        for at in 0..=bytes.len() {
            assert_eq!(read(&[&bytes[..at], &bytes[at..]]), whole, "cut at {at}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single), whole);
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b'd'), any::<u8>()], 0..200),
            size in 1usize..20,
        ) {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(read(&pieces), read(&[&bytes]));
        }
    }
}
