//! The tar of a layer, entry by entry: ustar, the long names of GNU and the records of POSIX (pax).
use std::collections::HashMap;

use super::Problem;
use super::stream::Decoded;

const BLOCK: u64 = 512;
/// The longest name, and the most that the records of one entry may take.
const NAME_LIMIT: u64 = 64 << 10;
const RECORDS_LIMIT: u64 = 1 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    HardLink,
    SymLink,
    Directory,
    Fifo,
    /// A device: whatever it is, no container gets it.
    Device,
}

/// An entry, without what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) size: u64,
    /// Seconds since 1970, and nanoseconds.
    pub(super) mtime: (i64, u32),
    pub(super) link: Vec<u8>,
    /// Names and values.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Takes the entries of a tar.
pub(super) trait Entries {
    /// Takes one; `content` gives exactly what it holds, as much of it as is asked for.
    fn entry(&mut self, entry: Entry, content: &mut Content<'_>) -> Result<(), Problem>;
}

/// What an entry holds.
pub(super) struct Content<'a> {
    from: &'a mut Decoded,
    left: u64,
}

impl Content<'_> {
    /// The next bytes; empty at the end.
    pub(super) fn next(&mut self) -> Result<&[u8], Problem> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let part = self.from.next(usize::try_from(self.left).unwrap_or(usize::MAX))?;
        if part.is_empty() {
            return Problem::refused("it ends in the middle of a file");
        }
        self.left -= part.len() as u64;
        Ok(part)
    }
}

/// Reads a tar to its end.
pub(super) fn read(from: &mut Decoded, entries: &mut dyn Entries) -> Result<(), Problem> {
    let mut long_path = None;
    let mut long_link = None;
    let mut records: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    let mut first = true;
    loop {
        let mut header = [0; BLOCK as usize];
        let begin = from.next(1)?.first().copied();
        let Some(begin) = begin else {
            // Without the two empty blocks at its end: some tools leave them out. But a stream of nothing is no tar.
            return if first { Problem::refused("it is empty") } else { Ok(()) };
        };
        header[0] = begin;
        from.exactly(&mut header[1..])?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        first = false;
        check_sum(&header)?;
        let size = number(&header[124..136])?;
        match header[156] {
            b'L' => long_path = Some(text(from, size)?),
            b'K' => long_link = Some(text(from, size)?),
            b'x' => records = parse_records(&bytes(from, size, RECORDS_LIMIT)?)?,
            // Comments for the whole archive.
            b'g' => skip(from, size)?,
            b'S' => return Problem::refused("it holds a sparse file in the form of old GNU tars, which is not read"),
            flag => {
                let entry = entry(&header, flag, long_path.take(), long_link.take(), std::mem::take(&mut records))?;
                let Some(entry) = entry else {
                    skip(from, size)?;
                    continue;
                };
                let held = entry.size;
                let mut content = Content { from, left: held };
                entries.entry(entry, &mut content)?;
                let left = content.left;
                from.skip(left)?;
                // Some tools leave out what fills the last block.
                from.skip_at_most(padding(held))?;
            }
        }
    }
}

fn entry(
    header: &[u8; 512],
    flag: u8,
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    mut records: HashMap<Vec<u8>, Vec<u8>>,
) -> Result<Option<Entry>, Problem> {
    let kind = match flag {
        b'0' | 0 | b'7' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::SymLink,
        b'3' | b'4' => Kind::Device,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        // What is not known here is a comment of some tool.
        _ => return Ok(None),
    };
    if records.keys().any(|key| key.starts_with(b"GNU.sparse.")) {
        return Problem::refused("it holds a sparse file, which is not read");
    }
    let ustar = &header[257..262] == b"ustar";
    let mut path = string(&header[0..100]);
    if ustar && &header[257..263] == b"ustar\0" && header[345] != 0 {
        path = [string(&header[345..500]), path].join(&b'/');
    }
    let path = records.remove(&b"path"[..]).or(long_path).unwrap_or(path);
    let link = records.remove(&b"linkpath"[..]).or(long_link).unwrap_or_else(|| string(&header[157..257]));
    let mut recorded = |name: &[u8]| -> Result<Option<u64>, Problem> {
        let Some(value) = records.remove(name) else { return Ok(None) };
        let value = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
        value.map(Some).ok_or_else(|| Problem::Refused("a record of it is no number".to_owned()))
    };
    let (uid, gid, size) = (recorded(b"uid")?, recorded(b"gid")?, recorded(b"size")?);
    let size = match size {
        Some(size) => size,
        None => number(&header[124..136])?,
    };
    let directory = kind == Kind::File && path.ends_with(b"/");
    let mtime = match records.remove(&b"mtime"[..]) {
        Some(text) => time(&text),
        None => (i64::try_from(number(&header[136..148])?).unwrap_or(0), 0),
    };
    let xattrs = records
        .into_iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(b"SCHILY.xattr.")?.to_owned(), value)))
        .collect();
    Ok(Some(Entry {
        kind: if directory { Kind::Directory } else { kind },
        mode: u32::try_from(number(&header[100..108])? & 0o7777).unwrap_or(0),
        uid: uid.map_or_else(|| number(&header[108..116]), Ok)?,
        gid: gid.map_or_else(|| number(&header[116..124]), Ok)?,
        // Links hold nothing, whatever some tools write there.
        size: if matches!(kind, Kind::File) { size } else { 0 },
        path,
        link,
        mtime,
        xattrs,
    }))
}

fn string(field: &[u8]) -> Vec<u8> {
    field.split(|byte| *byte == 0).next().unwrap_or_default().to_owned()
}

/// Octal digits, or big-endian with the first bit set.
fn number(field: &[u8]) -> Result<u64, Problem> {
    let wrong = || Problem::refused("a header of it holds a number that is none");
    if field[0] & 0x80 != 0 {
        let (first, rest) = (u64::from(field[0] & 0x7f), &field[1..]);
        if first != 0 || rest.len() > 8 && rest[..rest.len() - 8].iter().any(|byte| *byte != 0) {
            return wrong();
        }
        return Ok(rest.iter().rev().take(8).rev().fold(0, |value, byte| value << 8 | u64::from(*byte)));
    }
    let text = string(field);
    let digits = text.trim_ascii();
    digits.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'7' => Ok(value << 3 | u64::from(digit - b'0')),
        _ => wrong(),
    })
}

/// Seconds with a fraction, as POSIX writes times.
fn time(text: &[u8]) -> (i64, u32) {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let nanoseconds: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    (seconds.parse().unwrap_or(0), if seconds.starts_with('-') { 0 } else { nanoseconds.parse().unwrap_or(0) })
}

fn check_sum(header: &[u8; 512]) -> Result<(), Problem> {
    let told = number(&header[148..156])?;
    let sum = header.iter().enumerate().map(|(n, byte)| if (148..156).contains(&n) { 32 } else { u64::from(*byte) });
    match sum.sum::<u64>() == told {
        true => Ok(()),
        false => Problem::refused("a header of it has a wrong checksum: it is no tar, or a damaged one"),
    }
}

const fn padding(size: u64) -> u64 {
    (BLOCK - size % BLOCK) % BLOCK
}

fn skip(from: &mut Decoded, size: u64) -> Result<(), Problem> {
    from.skip(size.saturating_add(padding(size)))
}

fn bytes(from: &mut Decoded, size: u64, limit: u64) -> Result<Vec<u8>, Problem> {
    if size > limit {
        return Problem::refused(format!("an entry of it has a name or records of {size} bytes; {limit} are read"));
    }
    let mut all = vec![0; usize::try_from(size).unwrap_or(0)];
    from.exactly(&mut all)?;
    from.skip(padding(size))?;
    Ok(all)
}

fn text(from: &mut Decoded, size: u64) -> Result<Vec<u8>, Problem> {
    Ok(string(&bytes(from, size, NAME_LIMIT)?))
}

/// `<length> <key>=<value>\n`, the length of all of it.
fn parse_records(mut text: &[u8]) -> Result<HashMap<Vec<u8>, Vec<u8>>, Problem> {
    let wrong = || Problem::Refused("the records of an entry are damaged".to_owned());
    let mut records = HashMap::new();
    while !text.is_empty() {
        let space = text.iter().position(|byte| *byte == b' ').ok_or_else(wrong)?;
        let length: usize = std::str::from_utf8(&text[..space]).ok().and_then(|t| t.parse().ok()).ok_or_else(wrong)?;
        if length <= space + 1 || length > text.len() || text[length - 1] != b'\n' {
            return Err(wrong());
        }
        let record = &text[space + 1..length - 1];
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
        records.insert(record[..equals].to_owned(), record[equals + 1..].to_owned());
        text = &text[length..];
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        assert_eq!(number(b"0000644\0").unwrap(), 0o644);
        assert_eq!(number(b"   17 \0\0").unwrap(), 0o17);
        assert_eq!(number(b"\x80\0\0\0\0\0\0\0\0\0\x01\0").unwrap(), 256);
        assert_eq!(number(b"\0\0\0\0\0\0\0\0").unwrap(), 0);
        assert!(number(b"12x\0").is_err());
        assert!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").is_err(), "negative");
    }

    #[test]
    fn records_are_as_long_as_they_say() {
        let records = parse_records(b"30 mtime=1350244992.023960108\n13 path=a=b\n\n".get(..43).unwrap()).unwrap();
        assert_eq!(time(&records[&b"mtime"[..]]), (1_350_244_992, 23_960_108));
        assert_eq!(records[&b"path"[..]], b"a=b\n", "a value may hold what parts others");
        for wrong in [&b"99 path=a\n"[..], b"3 a", b"x path=a\n", b"9 pathab\n"] {
            assert!(parse_records(wrong).is_err(), "{wrong:?}");
        }
    }
}
