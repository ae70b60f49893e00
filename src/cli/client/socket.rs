//! The way over the machine's own socket: HTTP on a Unix stream.
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use futures::StreamExt as _;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::answer::Answer;
use super::error::ClientError;
use super::request::Request;

/// A server on this machine takes a connection at once, or is stuck.
const CONNECT: Duration = Duration::from_secs(10);
/// The server bounds its own work; this is a little more.
pub(super) const ANSWER: Duration = Duration::from_secs(150);

/// A socket of a server.
#[derive(Debug, Clone)]
pub(super) struct Socket {
    path: PathBuf,
}

impl Socket {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn place(&self) -> String {
        self.path.display().to_string()
    }

    /// Sends; a connection carries one request.
    pub(super) async fn send(&self, request: Request) -> Result<Answer, ClientError> {
        let connected = tokio::time::timeout(CONNECT, UnixStream::connect(&self.path)).await;
        let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(|e| self.closed(&e))?;
        if self.is_closed_to_me() {
            return Err(self.closed(&io::ErrorKind::PermissionDenied.into()));
        }
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|e| self.broken(&e))?;
        // Ends by itself when the answer was read or dropped.
        tokio::spawn(connection);
        let mut message = axum::http::Request::new(Body::from(request.body));
        *message.method_mut() = request.method;
        *message.uri_mut() =
            request.path.parse().map_err(|_| ClientError::Usage(format!("'{}' is no address", request.path)))?;
        *message.headers_mut() = request.headers;
        message.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
        let answered = tokio::time::timeout(ANSWER, sender.send_request(message)).await;
        let response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.hung_up(&error)),
            Err(_) => return Err(self.broken(&"it did not answer in time")),
        };
        let (parts, body) = response.into_parts();
        let body = Body::new(body).into_data_stream().map(|piece| piece.map_err(|error| error.to_string())).boxed();
        Ok(Answer { status: parts.status, headers: parts.headers, body, place: self.place() })
    }

    /// The server hangs up on all but root and its own user, at any moment of a call: better to say so before it.
    fn is_closed_to_me(&self) -> bool {
        let me = rustix::process::geteuid();
        let owner = std::fs::metadata(&self.path).map(|meta| std::os::unix::fs::MetadataExt::uid(&meta));
        !me.is_root() && owner.is_ok_and(|owner| owner != me.as_raw())
    }

    fn closed(&self, error: &io::Error) -> ClientError {
        let (why, hint) = match error.kind() {
            io::ErrorKind::NotFound => (
                "the socket is not there".to_owned(),
                "start the server (`systemctl start danube`), or name one with --socket PATH or --server URL"
                    .to_owned(),
            ),
            io::ErrorKind::ConnectionRefused => {
                ("nobody listens there".to_owned(), "start the server (`systemctl start danube`)".to_owned())
            }
            io::ErrorKind::PermissionDenied => ("you may not use this socket".to_owned(), not_you()),
            _ => (error.to_string(), "see the server's log (`journalctl -u danube`)".to_owned()),
        };
        ClientError::Unreachable { place: self.place(), why, hint }
    }

    /// The server lets root and its own user in, and hangs up on others without a word.
    fn hung_up(&self, error: &hyper::Error) -> ClientError {
        if (error.is_incomplete_message() || error.is_canceled()) && !rustix::process::geteuid().is_root() {
            return ClientError::Unreachable { place: self.place(), why: "it hung up".to_owned(), hint: not_you() };
        }
        self.broken(error)
    }

    fn broken(&self, why: &dyn std::fmt::Display) -> ClientError {
        ClientError::Broken { place: self.place(), why: why.to_string() }
    }
}

fn not_you() -> String {
    "only root and the server's own user may: use sudo, or --server URL with a token".to_owned()
}
