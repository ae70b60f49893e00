//! From the bytes of a layer to those of its tar: decoded on a thread of its own, hashed and bounded on the way.
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use super::Problem;
use crate::model::image::Packing;

/// Bytes that go from the decoder to the writer at once, and how many such pieces may wait.
const PIECE: usize = 256 << 10;
const PIECES: usize = 8;
/// How much the layer is read at once.
const READ: usize = 256 << 10;
/// A tar that is so many times the layer's size, and larger than this, is no honest one.
const RATIO: u64 = 500;
const FREE: u64 = 128 << 20;

type Pieces = Receiver<io::Result<(Vec<u8>, u64)>>;

/// A decoder that waits to be let go.
pub(super) struct Decoder {
    go: SyncSender<()>,
    pieces: Pieces,
}

impl Decoder {
    pub(super) fn start(input: File, packing: Packing) -> Result<Self, Problem> {
        let (go, wait) = sync_channel(1);
        let (send, pieces) = sync_channel(PIECES);
        let decode = move || {
            if wait.recv().is_ok() {
                decode(input, packing, &send);
            }
        };
        let started = std::thread::Builder::new().name("decode".to_owned()).spawn(decode);
        started.map_err(Problem::io("start a decoder"))?;
        Ok(Self { go, pieces })
    }

    pub(super) fn go(self) -> Pieces {
        // A decoder that has ended tells so by its pieces.
        let _gone = self.go.send(());
        self.pieces
    }
}

/// Counts what is read through it.
struct Counted<R> {
    inner: R,
    bytes: std::rc::Rc<std::cell::Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.set(self.bytes.get() + read as u64);
        Ok(read)
    }
}

fn decode(input: File, packing: Packing, send: &SyncSender<io::Result<(Vec<u8>, u64)>>) {
    let bytes = std::rc::Rc::default();
    let packed = BufReader::with_capacity(READ, Counted { inner: input, bytes: std::rc::Rc::clone(&bytes) });
    let mut reader: Box<dyn Read> = match packing {
        Packing::Tar => Box::new(packed),
        Packing::Gzip => Box::new(MultiGzDecoder::new(packed)),
        Packing::Zstd => Box::new(Zstd::new(packed)),
    };
    loop {
        let mut piece = vec![0; PIECE];
        let mut filled = 0;
        let read = loop {
            match reader.read(&mut piece[filled..]) {
                Ok(0) => break Ok(()),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
            if filled == PIECE {
                break Ok(());
            }
        };
        piece.truncate(filled);
        let result = read.map(|()| (piece, bytes.get()));
        let over = filled < PIECE;
        if send.send(result).is_err() || over {
            return;
        }
    }
}

/// A frame of a zstd stream with this number before it is to be skipped, whatever its last four bits.
const SKIPPABLE: u32 = 0x184D_2A50;

/// What is left of a zstd stream, with the number of the frame before it that was read already.
type Numbered<R> = io::Chain<io::Cursor<[u8; 4]>, R>;

/// One zstd frame after the other; those that some tools put between for indexes are skipped.
struct Zstd<R: Read> {
    packed: Option<R>,
    frame: Option<ruzstd::decoding::StreamingDecoder<Numbered<R>, ruzstd::decoding::FrameDecoder>>,
}

impl<R: Read> Zstd<R> {
    fn new(packed: R) -> Self {
        Self { packed: Some(packed), frame: None }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let read = frame.read(buffer)?;
                if read > 0 {
                    return Ok(read);
                }
                self.packed = self.frame.take().map(|frame| frame.into_inner().into_inner().1);
            }
            let Some(mut packed) = self.packed.take() else { return Ok(0) };
            let Some(number) = four(&mut packed)? else { return Ok(0) };
            if u32::from_le_bytes(number) & !0xF == SKIPPABLE {
                let length = four(&mut packed)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                let length = u64::from(u32::from_le_bytes(length));
                if io::copy(&mut packed.by_ref().take(length), &mut io::sink())? < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.packed = Some(packed);
                continue;
            }
            let packed = io::Cursor::new(number).chain(packed);
            self.frame = Some(ruzstd::decoding::StreamingDecoder::new(packed).map_err(io::Error::other)?);
        }
    }
}

/// The next four bytes; none at the end.
fn four(from: &mut impl Read) -> io::Result<Option<[u8; 4]>> {
    let mut bytes = Vec::with_capacity(4);
    from.take(4).read_to_end(&mut bytes)?;
    match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => Ok(Some(four)),
        Err(_) if bytes.is_empty() => Ok(None),
        Err(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The tar of a layer, read from piece to piece.
pub(super) struct Decoded {
    pieces: Pieces,
    piece: Vec<u8>,
    at: usize,
    over: bool,
    bytes: u64,
    most: u64,
    hash: Sha256,
}

impl Decoded {
    pub(super) fn new(pieces: Pieces, most: u64) -> Self {
        Self { pieces, piece: Vec::new(), at: 0, over: false, bytes: 0, most, hash: Sha256::new() }
    }

    /// The next bytes, at most so many; empty at the end.
    pub(super) fn next(&mut self, most: usize) -> Result<&[u8], Problem> {
        if self.at == self.piece.len() {
            self.refill()?;
        }
        let end = self.piece.len().min(self.at.saturating_add(most));
        let part = &self.piece[self.at..end];
        self.at = end;
        Ok(part)
    }

    /// Exactly so many bytes.
    pub(super) fn exactly(&mut self, into: &mut [u8]) -> Result<(), Problem> {
        let mut filled = 0;
        while filled < into.len() {
            let part = self.next(into.len() - filled)?;
            if part.is_empty() {
                return Problem::refused("it ends in the middle of an entry");
            }
            into[filled..filled + part.len()].copy_from_slice(part);
            filled += part.len();
        }
        Ok(())
    }

    /// Reads and drops.
    pub(super) fn skip(&mut self, mut bytes: u64) -> Result<(), Problem> {
        while bytes > 0 {
            let part = self.next(usize::try_from(bytes).unwrap_or(usize::MAX))?.len() as u64;
            if part == 0 {
                return Problem::refused("it ends in the middle of an entry");
            }
            bytes -= part;
        }
        Ok(())
    }

    /// Reads and drops what there is of so many.
    pub(super) fn skip_at_most(&mut self, mut bytes: u64) -> Result<(), Problem> {
        while bytes > 0 {
            match self.next(usize::try_from(bytes).unwrap_or(usize::MAX))?.len() as u64 {
                0 => break,
                part => bytes -= part,
            }
        }
        Ok(())
    }

    fn refill(&mut self) -> Result<(), Problem> {
        (self.piece, self.at) = (Vec::new(), 0);
        if self.over {
            return Ok(());
        }
        let (piece, packed) = match self.pieces.recv() {
            Ok(Ok(next)) => next,
            Ok(Err(error)) => return Problem::refused(format!("it can't be decompressed: {error}")),
            Err(_) => return Problem::refused("it can't be decompressed"),
        };
        self.over = piece.len() < PIECE;
        self.bytes += piece.len() as u64;
        if self.bytes > self.most {
            return Problem::refused(format!(
                "it unpacks to more than {} bytes, the bound of this executor",
                self.most
            ));
        }
        if self.bytes > FREE && self.bytes / RATIO > packed {
            return Problem::refused(format!("it unpacks to more than {RATIO} times its size, as a bomb would"));
        }
        self.hash.update(&piece);
        self.piece = piece;
        Ok(())
    }

    /// Reads what is behind the tar's end; the digest of it all.
    pub(super) fn finish(mut self) -> Result<String, Problem> {
        while !self.next(usize::MAX)?.is_empty() {}
        Ok(format!("sha256:{}", hex::encode(self.hash.finalize())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with its content as it is.
    fn frame(content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        // One segment, its length in one byte; then one block, which is the last: its size above three bits.
        let block = ((u32::from(length) << 3) | 1).to_le_bytes();
        [&[0x28, 0xB5, 0x2F, 0xFD, 0x20, length][..], &block[..3], content].concat()
    }

    fn skipped(number: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_le_bytes();
        [&[0x50 | number, 0x2A, 0x4D, 0x18][..], &length, content].concat()
    }

    /// Gives one byte at a time, as a slow sender might.
    struct Slowly<'a>(&'a [u8]);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let one = buffer.len().min(1);
            self.0.read(&mut buffer[..one])
        }
    }

    fn unpacked(packed: &[u8]) -> io::Result<String> {
        let (mut text, mut again) = (String::new(), String::new());
        Zstd::new(packed).read_to_string(&mut text)?;
        Zstd::new(Slowly(packed)).read_to_string(&mut again)?;
        assert_eq!(text, again);
        Ok(text)
    }

    #[test]
    fn frames_of_zstd_follow_each_other_and_what_is_to_be_skipped_is() {
        assert_eq!(unpacked(&[]).unwrap(), "");
        assert_eq!(unpacked(&frame(b"one")).unwrap(), "one");
        assert_eq!(unpacked(&[frame(b"one "), frame(b""), frame(b"two")].concat()).unwrap(), "one two");
        // As pzstd begins, and as zstd:chunked ends.
        let sizes = skipped(0, &[3, 0, 0, 0]);
        let index = skipped(15, &[0x5A; 100_000]);
        let packed = [sizes.clone(), frame(b"one "), sizes, skipped(1, b""), frame(b"two"), index.clone()].concat();
        assert_eq!(unpacked(&packed).unwrap(), "one two");
        assert_eq!(unpacked(&index).unwrap(), "");
    }

    #[test]
    fn a_zstd_stream_that_is_cut_or_is_none_is_refused() {
        let whole = [frame(b"one"), skipped(0, b"four")].concat();
        for length in (1..whole.len()).filter(|length| *length != frame(b"one").len()) {
            assert!(unpacked(&whole[..length]).is_err(), "{length}");
        }
        assert!(unpacked(b"no zstd at all").is_err());
    }
}
