//! Frames with descriptors on a Unix stream socket.
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// The largest frame, without its length.
pub(super) const MAX_FRAME: usize = 1 << 20;

/// The most descriptors on one frame.
pub(super) const MAX_FDS: usize = 16;

/// Sends one frame; `fds` ride on its first byte.
pub(super) fn send(mut stream: &UnixStream, body: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if body.len() > MAX_FRAME || fds.len() > MAX_FDS {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a request of {} bytes is larger than the executor takes ({MAX_FRAME})", body.len()),
        ));
    }
    let mut frame = Vec::with_capacity(body.len() + 4);
    frame.extend_from_slice(&u32::try_from(body.len()).map_err(io::Error::other)?.to_le_bytes());
    frame.extend_from_slice(body);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many descriptors for one frame"));
    }
    // The first byte goes with the descriptors, the rest like any stream.
    let sent = rustix::io::retry_on_intr(|| {
        sendmsg(stream.as_fd(), &[IoSlice::new(&frame)], &mut ancillary, SendFlags::NOSIGNAL)
    })?;
    stream.write_all(&frame[sent..])
}

/// Receives one frame and its descriptors; none at the end of the stream.
pub(super) fn recv(mut stream: &UnixStream) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut length = [0u8; 4];
    let mut fds = Vec::new();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let got = {
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let message = rustix::io::retry_on_intr(|| {
            recvmsg(stream.as_fd(), &mut [IoSliceMut::new(&mut length)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        })?;
        for item in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = item {
                fds.extend(received);
            }
        }
        if message.flags.contains(ReturnFlags::CTRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too many descriptors on one frame"));
        }
        message.bytes
    };
    if got == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[got..])?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some((body, fds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek;

    #[test]
    fn a_frame_brings_its_bytes_and_descriptors() {
        let (a, b) = UnixStream::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"hello").unwrap();
        file.rewind().unwrap();
        send(&a, b"{}", &[file.as_fd()]).unwrap();

        let (body, fds) = recv(&b).unwrap().unwrap();
        assert_eq!((body.as_slice(), fds.len()), (b"{}".as_slice(), 1));
        let mut text = String::new();
        std::fs::File::from(fds.into_iter().next().unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        drop(a);
    }

    #[test]
    fn a_frame_above_the_limit_is_refused_on_both_sides() {
        let (a, b) = UnixStream::pair().unwrap();
        assert!(send(&a, &vec![0; MAX_FRAME + 1], &[]).is_err());
        (&a).write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert!(recv(&b).is_err());
    }

    #[test]
    fn the_end_of_the_stream_is_told_from_a_torn_frame() {
        let (a, b) = UnixStream::pair().unwrap();
        drop(a);
        assert!(recv(&b).unwrap().is_none());
        let (a, b) = UnixStream::pair().unwrap();
        (&a).write_all(&[3, 0]).unwrap();
        drop(a);
        assert!(recv(&b).is_err());
    }
}
