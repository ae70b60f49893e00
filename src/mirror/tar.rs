//! A stream of files in the tar format (ustar, with pax records where a name or link is long).
use std::io::{self, Read, Write};

/// What one member is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Member<'a> {
    /// A folder.
    Dir,
    /// A file of so many bytes, which may be run.
    File {
        /// Its bytes.
        size: u64,
        /// Its owner may run it.
        executable: bool,
    },
    /// A symbolic link.
    Link {
        /// Where it points, as written.
        target: &'a [u8],
    },
}

/// Writes the header of a member; a file's bytes follow by `body`.
pub(super) fn header(out: &mut dyn Write, path: &[u8], member: Member<'_>, mtime: u64) -> io::Result<()> {
    let (kind, mode, size, target): (u8, u32, u64, &[u8]) = match member {
        Member::Dir => (b'5', 0o755, 0, b""),
        Member::File { size, executable: true } => (b'0', 0o755, size, b""),
        Member::File { size, executable: false } => (b'0', 0o644, size, b""),
        Member::Link { target } => (b'2', 0o777, 0, target),
    };
    let mut records = Vec::new();
    if path.len() > 100 {
        record(&mut records, b"path", path);
    }
    if target.len() > 100 {
        record(&mut records, b"linkpath", target);
    }
    if size > 0o77_777_777_777 {
        record(&mut records, b"size", size.to_string().as_bytes());
    }
    if !records.is_empty() {
        out.write_all(&block(b"pax", b'x', 0o644, records.len() as u64, mtime, b""))?;
        body(out, &mut &records[..], records.len() as u64)?;
    }
    out.write_all(&block(path, kind, mode, size, mtime, target))
}

/// Copies exactly `size` bytes and fills up the last block. True: the source was shorter, zeros stand for the rest.
pub(super) fn body(out: &mut dyn Write, from: &mut dyn Read, size: u64) -> io::Result<bool> {
    let copied = io::copy(&mut from.take(size), out)?;
    let padded = size.next_multiple_of(512);
    io::copy(&mut io::repeat(0).take(padded - copied), out)?;
    Ok(copied < size)
}

/// Ends the stream.
pub(super) fn finish(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&[0; 1024])
}

/// `<length> <key>=<value>\n`, where the length counts itself.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if length.to_string().len() != rest.to_string().len() {
        length += 1;
    }
    records.extend_from_slice(length.to_string().as_bytes());
    for part in [b" ", key, b"=", value, b"\n"] {
        records.extend_from_slice(part);
    }
}

fn block(path: &[u8], kind: u8, mode: u32, size: u64, mtime: u64, target: &[u8]) -> [u8; 512] {
    let mut block = [0u8; 512];
    let mut put = |at: usize, room: usize, bytes: &[u8]| {
        let n = bytes.len().min(room);
        block[at..at + n].copy_from_slice(&bytes[..n]);
    };
    put(0, 100, path);
    put(100, 8, format!("{mode:07o}\0").as_bytes());
    put(108, 8, b"0000000\0");
    put(116, 8, b"0000000\0");
    put(124, 12, format!("{:011o}\0", size.min(0o77_777_777_777)).as_bytes());
    put(136, 12, format!("{:011o}\0", mtime.min(0o77_777_777_777)).as_bytes());
    put(148, 8, b"        ");
    put(156, 1, &[kind]);
    put(157, 100, target);
    put(257, 8, b"ustar\x0000");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}
