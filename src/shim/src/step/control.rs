//! The control socket: values to mask that were made while the step runs.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use danube_shim::control::{self, Reply, Request};
use danube_shim::{frame, sys};

/// How many callers are heard at once; more wait in the socket's queue.
const CALLERS: usize = 8;
/// How long a caller may take to read its answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The listener and those who are speaking.
pub(super) struct Control {
    listener: UnixListener,
    callers: Vec<Caller>,
}

struct Caller {
    socket: UnixStream,
    heard: Vec<u8>,
}

impl Control {
    /// Listens in the step's directory, which only root can enter.
    pub(super) fn listen(step_dir: &Path) -> io::Result<Self> {
        let path = step_dir.join(control::SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let dir = sys::open_dir(step_dir)?;
        let listener = UnixListener::bind(control::short_path(&dir))?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, callers: Vec::new() })
    }

    /// What to poll: the callers and, while there is room, the listener at the end.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let room = self.callers.len() < CALLERS;
        let callers = self.callers.iter().map(|caller| caller.socket.as_fd());
        callers.chain(room.then(|| self.listener.as_fd()))
    }

    /// Goes on with those that are ready, in the order of [`Self::descriptors`].
    pub(super) fn serve(&mut self, ready: &[bool], mut answer: impl FnMut(Request) -> Reply) {
        let before = self.callers.len();
        let mut at = 0;
        self.callers.retain_mut(|caller| {
            let ready = ready.get(at).copied().unwrap_or(false);
            at += 1;
            !ready || caller.hear(&mut answer)
        });
        if ready.get(before).copied().unwrap_or(false)
            && let Ok((socket, _)) = self.listener.accept()
            && socket.set_nonblocking(true).is_ok()
        {
            self.callers.push(Caller { socket, heard: Vec::new() });
        }
    }
}

impl Caller {
    /// Whether the caller may say more.
    fn hear(&mut self, answer: &mut impl FnMut(Request) -> Reply) -> bool {
        let mut buffer = [0; 16 << 10];
        match self.socket.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => self.heard.extend_from_slice(&buffer[..count]),
            Err(error) => {
                return matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
            }
        }
        loop {
            let Some((head, body)) = self.heard.split_first_chunk::<4>() else {
                return true;
            };
            let Ok(length) = frame::body_length(*head, frame::CONTROL_LIMIT) else {
                return false;
            };
            let length = length as usize;
            if body.len() < length {
                return true;
            }
            let reply = match frame::parse(&body[..length]) {
                Ok(request) => answer(request),
                Err(error) => Reply { ok: false, error: Some(error.to_string()) },
            };
            self.heard.drain(..4 + length);
            if self.say(&reply).is_err() {
                return false;
            }
        }
    }

    fn say(&mut self, reply: &Reply) -> io::Result<()> {
        let bytes = frame::encode(reply).map_err(|error| io::Error::other(error.to_string()))?;
        // An answer is far smaller than the socket's buffer: only a broken caller makes it wait.
        self.socket.set_nonblocking(false)?;
        self.socket.set_write_timeout(Some(PATIENCE))?;
        self.socket.write_all(&bytes)?;
        self.socket.set_nonblocking(true)
    }
}
