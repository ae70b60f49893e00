//! HTTP as bytes on a connection: a load that costs the machine as little as it can.
use std::io;
use std::path::Path;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

/// The longest answer that is taken.
const LONGEST: usize = 16 << 20;

/// A connection that is kept.
pub(super) struct Line<S>(BufReader<S>);

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(BufReader::with_capacity(64 << 10, stream))
    }

    /// Sends a whole request and reads the whole answer.
    pub(super) async fn ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.0.get_mut().write_all(request).await?;
        let head = head(&mut self.0).await?;
        let length = head.length.filter(|length| *length <= LONGEST);
        let length = length.ok_or_else(|| io::Error::other("an answer of unknown or unusual length"))?;
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await?;
        Ok(Answer { status: head.status, body })
    }
}

struct Head {
    status: u16,
    length: Option<usize>,
}

async fn head<S: AsyncRead + Unpin>(from: &mut BufReader<S>) -> io::Result<Head> {
    let mut head = Head { status: 0, length: None };
    let mut line = String::new();
    loop {
        line.clear();
        if from.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = line.trim_end();
        if text.is_empty() {
            return Ok(head);
        }
        if head.status == 0 {
            head.status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(1);
        } else if let Some((name, value)) = text.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            head.length = value.trim().parse().ok();
        }
    }
}

/// A request without a body.
pub(super) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// An answer without an end, over the machine's socket: HTTP/1.0, so that it comes as it is.
pub(super) async fn stream(socket: &Path, path: &str) -> io::Result<BufReader<UnixStream>> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
    let mut reader = BufReader::with_capacity(64 << 10, stream);
    match head(&mut reader).await?.status {
        200 => Ok(reader),
        status => Err(io::Error::other(format!("{path} was answered {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_on_one_connection_do_not_mix() {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let text =
            "HTTP/1.1 202 Accepted\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        theirs.write_all(text.as_bytes()).await.unwrap();
        let mut line = Line::new(ours);
        let first = line.ask(b"x").await.unwrap();
        assert_eq!((first.status, first.body.as_slice()), (202, &b"abc"[..]));
        assert_eq!(line.ask(b"y").await.unwrap().status, 404);
    }
}
