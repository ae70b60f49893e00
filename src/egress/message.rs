//! DNS messages, as far as they are needed: one question, and answers with addresses (RFC 1035). Pure.
use std::net::Ipv4Addr;

/// The largest message over UDP without an extension.
pub(super) const LARGEST_UDP: usize = 512;
/// Addresses of one name; more are left out.
pub(super) const ADDRESSES: usize = 16;
/// Records of an answer that are looked at.
const RECORDS: u16 = 256;

const HEADER: usize = 12;
const A: u16 = 1;
const CNAME: u16 = 5;
const INTERNET: u16 = 1;

/// What is said beside an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Ok = 0,
    Malformed = 1,
    Failed = 2,
    NoSuchName = 3,
    NotImplemented = 4,
    Refused = 5,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    id: u16,
    /// Recursion was desired; said back.
    recursion: bool,
    /// In lower case, without the dot at the end; bytes that no host name has stand as `\` and three digits.
    pub(super) name: String,
    kind: u16,
    class: u16,
    /// As it was written: whoever varies the letters wants them back.
    raw: Vec<u8>,
}

/// A question that can't be answered: what to send instead, if anything.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) Option<Vec<u8>>);

impl Question {
    /// Reads a question.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let Some(head) = bytes.get(..HEADER) else { return Err(Unreadable(None)) };
        let (id, flags) = (word(head, 0), word(head, 2));
        if flags & 0x8000 != 0 {
            // An answer: whoever answers those, answers itself for ever.
            return Err(Unreadable(None));
        }
        let complain = |code: Code| Unreadable(Some(header(id, flags & 0x0100, code, 0, 0)));
        if flags & 0x7800 != 0 {
            return Err(complain(Code::NotImplemented));
        }
        let malformed = || complain(Code::Malformed);
        if word(head, 4) != 1 {
            return Err(malformed());
        }
        let (name, at) = read_name(bytes, HEADER).ok_or_else(malformed)?;
        let tail = bytes.get(at..at + 4).ok_or_else(malformed)?;
        let (kind, class) = (word(tail, 0), word(tail, 2));
        let raw = bytes[HEADER..at + 4].to_vec();
        // A name that points elsewhere can't be said back.
        if raw.len() > 259 || has_pointer(&raw) {
            return Err(malformed());
        }
        Ok(Self { id, recursion: flags & 0x0100 != 0, name, kind, class, raw })
    }

    /// A question of ours.
    pub(super) fn new(id: u16, name: &str) -> Option<Self> {
        let mut raw = Vec::with_capacity(name.len() + 6);
        for label in name.split('.') {
            let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
            raw.push(length);
            raw.extend_from_slice(label.as_bytes());
        }
        raw.push(0);
        raw.extend_from_slice(&A.to_be_bytes());
        raw.extend_from_slice(&INTERNET.to_be_bytes());
        (raw.len() <= 259).then(|| Self { id, recursion: true, name: name.to_owned(), kind: A, class: INTERNET, raw })
    }

    /// It asks for addresses that we can give; other kinds have no answer.
    pub(super) fn wants_addresses(&self) -> bool {
        self.kind == A && self.class == INTERNET
    }

    /// The message that asks.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.raw.len());
        for field in [self.id, 0x0100, 1, 0, 0, 0] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        bytes.extend_from_slice(&self.raw);
        bytes
    }

    /// The message that answers.
    pub(super) fn answer(&self, code: Code, addresses: &[Ipv4Addr], seconds: u32) -> Vec<u8> {
        let count = addresses.len().min(ADDRESSES);
        let said_back = if self.recursion { 0x0100 } else { 0 };
        let mut bytes = header(self.id, said_back, code, 1, u16::try_from(count).unwrap_or(0));
        bytes.extend_from_slice(&self.raw);
        for address in &addresses[..count] {
            // The name of the question, by a pointer.
            bytes.extend_from_slice(&[0xC0, 0x0C]);
            bytes.extend_from_slice(&A.to_be_bytes());
            bytes.extend_from_slice(&INTERNET.to_be_bytes());
            bytes.extend_from_slice(&seconds.to_be_bytes());
            bytes.extend_from_slice(&4u16.to_be_bytes());
            bytes.extend_from_slice(&address.octets());
        }
        bytes
    }
}

/// What a nameserver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    /// It did not fit; over TCP it does.
    pub(super) truncated: bool,
    /// 0: well; 3: no such name.
    pub(super) code: u16,
    /// Name, lifetime, what it leads to.
    pub(super) records: Vec<(String, u32, Leads)>,
}

/// Where a record leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leads {
    To(Ipv4Addr),
    Alias(String),
}

impl Response {
    /// Reads the answer to a question; none where it is no answer to that.
    pub(super) fn read(bytes: &[u8], to: &Question) -> Option<Self> {
        let head = bytes.get(..HEADER)?;
        let flags = word(head, 2);
        if word(head, 0) != to.id || flags & 0x8000 == 0 || word(head, 4) != 1 {
            return None;
        }
        let (name, mut at) = read_name(bytes, HEADER)?;
        let tail = bytes.get(at..at + 4)?;
        if name != to.name || word(tail, 0) != to.kind || word(tail, 2) != to.class {
            return None;
        }
        at += 4;
        let mut records = Vec::new();
        let truncated = flags & 0x0200 != 0;
        for _ in 0..word(head, 6).min(RECORDS) {
            let Some((record, next)) = read_record(bytes, at) else {
                // What was cut is asked for again; anything else that can't be read is no answer.
                if truncated {
                    break;
                }
                return None;
            };
            records.extend(record);
            at = next;
        }
        Some(Self { truncated, code: flags & 0x000F, records })
    }
}

type Record = (String, u32, Leads);

fn read_record(bytes: &[u8], at: usize) -> Option<(Option<Record>, usize)> {
    let (name, at) = read_name(bytes, at)?;
    let fixed = bytes.get(at..at + 10)?;
    let (kind, class, length) = (word(fixed, 0), word(fixed, 2), usize::from(word(fixed, 8)));
    let seconds = u32::from(word(fixed, 4)) << 16 | u32::from(word(fixed, 6));
    let data = bytes.get(at + 10..at + 10 + length)?;
    let leads = match (kind, class) {
        (A, INTERNET) => Some(Leads::To(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?))),
        (CNAME, INTERNET) => Some(Leads::Alias(read_name(bytes, at + 10)?.0)),
        _ => None,
    };
    Some((leads.map(|leads| (name, seconds, leads)), at + 10 + length))
}

fn header(id: u16, kept: u16, code: Code, questions: u16, answers: u16) -> Vec<u8> {
    // An answer, recursion available.
    let flags = 0x8080 | kept | code as u16;
    [id, flags, questions, answers, 0, 0].iter().flat_map(|field| field.to_be_bytes()).collect()
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Whether a name of a question has a pointer where a length belongs.
fn has_pointer(raw: &[u8]) -> bool {
    let mut at = 0;
    while let Some(&length) = raw.get(at) {
        match length {
            0 => return false,
            1..=63 => at += 1 + usize::from(length),
            _ => return true,
        }
    }
    true
}

/// A name and where the bytes after it begin. Pointers lead backwards only, so it ends.
fn read_name(bytes: &[u8], from: usize) -> Option<(String, usize)> {
    let (mut at, mut after, mut length) = (from, None, 0);
    let mut name = String::new();
    loop {
        let size = *bytes.get(at)?;
        match size {
            0 => return Some((name, after.unwrap_or(at + 1))),
            1..=63 => {
                let label = bytes.get(at + 1..at + 1 + usize::from(size))?;
                length += label.len() + 1;
                if length > 254 {
                    return None;
                }
                if !name.is_empty() {
                    name.push('.');
                }
                label.iter().for_each(|byte| push(&mut name, *byte));
                at += 1 + label.len();
            }
            0xC0.. => {
                let low = usize::from(*bytes.get(at + 1)?);
                let target = usize::from(size & 0x3F) << 8 | low;
                if target >= at {
                    return None;
                }
                after = after.or(Some(at + 2));
                at = target;
            }
            _ => return None,
        }
    }
}

fn push(name: &mut String, byte: u8) {
    match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
        b'A'..=b'Z' => name.push(char::from(byte.to_ascii_lowercase())),
        other => name.push_str(&format!("\\{other:03}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ask(name: &str) -> Question {
        Question::new(7, name).unwrap()
    }

    #[test]
    fn a_question_comes_back_with_its_addresses() {
        let mut bytes = ask("www.example.com").to_bytes();
        // Mixed letters are said back as they came.
        bytes[13] = b'W';
        let question = Question::read(&bytes).unwrap();
        assert_eq!(question.name, "www.example.com");
        assert!(question.wants_addresses());
        let answer = question.answer(Code::Ok, &[Ipv4Addr::new(198, 51, 100, 7)], 30);
        assert_eq!(answer[13], b'W');
        let read = Response::read(&answer, &question).unwrap();
        let record = ("www.example.com".to_owned(), 30, Leads::To(Ipv4Addr::new(198, 51, 100, 7)));
        assert_eq!(read, Response { truncated: false, code: 0, records: vec![record] });
        assert!(question.answer(Code::Ok, &[Ipv4Addr::LOCALHOST; 100], 1).len() <= LARGEST_UDP);
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let question = ask("example.com");
        let other = Question::new(8, "example.com").unwrap().answer(Code::Ok, &[], 0);
        assert_eq!(Response::read(&other, &question), None);
        let other = ask("example.org").answer(Code::Ok, &[], 0);
        assert_eq!(Response::read(&other, &question), None);
        assert_eq!(Response::read(&question.to_bytes(), &question), None, "a question is no answer");
    }

    #[test]
    fn odd_bytes_of_a_name_are_shown_as_numbers() {
        let mut bytes = ask("ab.example.com").to_bytes();
        bytes[13..15].copy_from_slice(b".\x1b");
        assert_eq!(Question::read(&bytes).unwrap().name, "\\046\\027.example.com");
    }

    #[test]
    fn names_that_turn_in_circles_end() {
        let mut bytes = ask("example.com").to_bytes();
        bytes.truncate(HEADER);
        bytes.extend_from_slice(&[0xC0, 0x0C, 0, 1, 0, 1]);
        assert!(matches!(Question::read(&bytes), Err(Unreadable(Some(_)))));
        assert_eq!(Question::read(&bytes[..11]), Err(Unreadable(None)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_within_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _any = Question::read(&bytes);
            let mut answer = ask("example.com").answer(Code::Ok, &[], 0);
            answer[7] = 9;
            answer.extend_from_slice(&bytes);
            let _any = Response::read(&answer, &ask("example.com"));
        }
    }
}
