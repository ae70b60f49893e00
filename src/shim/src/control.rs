//! The control socket of a live shim: `ctl.sock` in the step's directory. One frame asks, one
//! frame answers.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::frame::{self, FrameError};
use crate::start::Pattern;
use crate::sys;

/// The socket's name in the step's directory.
pub const SOCKET: &str = "ctl.sock";

/// What a shim is asked. It carries secrets and has no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Mask these values too, on both outputs, from the next byte on.
    Mask(Vec<Pattern>),
    /// Write this line of danube's own into the log.
    Note(String),
    /// Answer, to show that the shim lives.
    Ping(u64),
}

/// What a shim answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Whether it was done.
    pub ok: bool,
    /// Why not, in a sentence for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Asks the shim of a step; waits, so not for a thread that serves others.
///
/// `NotFound` and `ConnectionRefused` mean that no shim lives; read its exit record then.
pub fn ask(step_dir: &Path, request: &Request, patience: Duration) -> io::Result<Reply> {
    let dir = sys::open_dir(step_dir)?;
    // A socket's address is at most 107 bytes long; a step's directory may be longer.
    let mut socket = UnixStream::connect(short_path(&dir))?;
    socket.set_read_timeout(Some(patience))?;
    socket.set_write_timeout(Some(patience))?;
    let plain = |error| match error {
        FrameError::Io(error) => error,
        other => io::Error::other(other.to_string()),
    };
    frame::write(&mut socket, request).map_err(plain)?;
    frame::read(&mut socket, frame::CONTROL_LIMIT).map_err(plain)
}

/// A path to the socket that is short enough for an address, through the open directory.
pub fn short_path(dir: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_of_the_control_messages_is_pinned() {
        let mask = Request::Mask(vec![Pattern { name: "T".into(), value: b"hunter22".to_vec() }]);
        assert_eq!(serde_json::to_string(&mask).unwrap(), r#"{"mask":[{"name":"T","value":"aHVudGVyMjI="}]}"#);
        assert_eq!(serde_json::to_string(&Request::Note("n".into())).unwrap(), r#"{"note":"n"}"#);
        assert_eq!(serde_json::to_string(&Request::Ping(3)).unwrap(), r#"{"ping":3}"#);
        let done = Reply { ok: true, error: None };
        assert_eq!(serde_json::to_string(&done).unwrap(), r#"{"ok":true}"#);
    }
}
