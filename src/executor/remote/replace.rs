//! Before a master connects: does the executor that runs already fit, and will it make room where it does not?
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::protocol::{Answer, Reply, Request, VERSION, Verb};
use super::wire;
use crate::executor::Probe;

/// How long an executor may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How an executor stands to what is wanted of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is what is wanted.
    Fits,
    /// It is another one and has jobs: it stays.
    Busy,
    /// It is another one, and ends.
    Leaves,
}

/// Asks the executor at `socket` what it is, and to leave where that is not wanted. For the start of a master that has
/// not connected yet; blocks.
pub fn leave_unless(socket: &Path, wanted: impl Fn(&Probe) -> bool) -> io::Result<Standing> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let probe = match ask(&stream, 0, Verb::Hello { version: VERSION }).and_then(|_| ask(&stream, 1, Verb::Probe)) {
        Ok(Answer::Probe { probe }) => Some(probe),
        Ok(_) => None,
        Err(error) => return Err(error),
    };
    if probe.is_some_and(|probe| wanted(&probe)) {
        return Ok(Standing::Fits);
    }
    match ask(&stream, 2, Verb::List)? {
        Answer::Jobs { jobs } if jobs.is_empty() => {}
        _ => return Ok(Standing::Busy),
    }
    ask(&stream, 3, Verb::Leave)?;
    Ok(Standing::Leaves)
}

fn ask(stream: &UnixStream, id: u64, verb: Verb) -> io::Result<Answer> {
    wire::send(stream, &serde_json::to_vec(&Request { id, verb })?, &[])?;
    let (body, _) = wire::recv(stream)?.ok_or_else(|| io::Error::other("the executor hung up"))?;
    let reply: Reply = serde_json::from_slice(&body)?;
    reply.result.map_err(io::Error::other)
}
