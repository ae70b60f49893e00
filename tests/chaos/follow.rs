//! Three ways to follow a log, each going on by itself over restarts: server-sent events, `danube logs -f`, ranges.
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use sha2::{Digest as _, Sha256};

use crate::http::{Door, send};

/// Between two tries at a server that is away.
const PAUSE: Duration = Duration::from_millis(50);

/// What a follower got of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// The longest time without a new byte.
    pub(crate) pause: Duration,
}

/// Puts together what comes.
struct Sum {
    hash: Sha256,
    bytes: u64,
    last: Option<Instant>,
    pause: Duration,
}

impl Sum {
    fn new() -> Self {
        Self { hash: Sha256::new(), bytes: 0, last: None, pause: Duration::ZERO }
    }

    fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        if let Some(last) = self.last {
            self.pause = self.pause.max(last.elapsed());
        }
        self.last = Some(Instant::now());
    }

    fn end(self) -> Got {
        Got { bytes: self.bytes, sha256: hex::encode(self.hash.finalize()), pause: self.pause }
    }
}

/// By server-sent events: goes on from the last event's id.
pub(crate) fn by_events(socket: &Path, job: &str, limit: Duration) -> Result<Got, String> {
    let (mut sum, mut after, end) = (Sum::new(), String::new(), Instant::now() + limit);
    while Instant::now() < end {
        match events(socket, job, &mut after, &mut sum) {
            Ok(true) => return Ok(sum.end()),
            Err(Cut::Wrong(error)) => return Err(error),
            Ok(false) | Err(Cut::Away) => std::thread::sleep(PAUSE),
        }
    }
    Err(format!("no end within {limit:?} after {} bytes", sum.bytes))
}

enum Cut {
    Away,
    Wrong(String),
}

impl From<std::io::Error> for Cut {
    fn from(_: std::io::Error) -> Self {
        Self::Away
    }
}

/// One connection; true where the stream said that the job has ended.
fn events(socket: &Path, job: &str, after: &mut String, sum: &mut Sum) -> Result<bool, Cut> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let place = if after.is_empty() { String::new() } else { format!("Last-Event-ID: {after}\r\n") };
    stream.write_all(
        format!(
            "GET /api/v1/jobs/{job}/events HTTP/1.0\r\nHost: localhost\r\nAccept: text/event-stream\r\n{place}\r\n"
        )
        .as_bytes(),
    )?;
    let mut lines = BufReader::new(stream).lines();
    let status = lines.next().ok_or(Cut::Away)??;
    if !status.contains(" 200 ") {
        return Err(Cut::Away);
    }
    let (mut id, mut kind, mut data) = (String::new(), String::new(), String::new());
    for line in lines {
        let line = line?;
        if let Some(text) = line.strip_prefix("id:") {
            id = text.trim().to_owned();
        } else if let Some(text) = line.strip_prefix("event:") {
            kind = text.trim().to_owned();
        } else if let Some(text) = line.strip_prefix("data:") {
            data = text.trim().to_owned();
        } else if line.is_empty() && !kind.is_empty() {
            // Only a whole event counts: the id belongs to what was taken.
            match kind.as_str() {
                "log" => take(&data, sum).map_err(Cut::Wrong)?,
                "end" => return Ok(true),
                _ => {}
            }
            if !id.is_empty() {
                after.clone_from(&id);
            }
            kind.clear();
        }
    }
    Ok(false)
}

fn take(data: &str, sum: &mut Sum) -> Result<(), String> {
    let event: serde_json::Value = serde_json::from_str(data).map_err(|error| format!("{error}: {data}"))?;
    if event["step"] != 1 {
        return Ok(());
    }
    if event["offset"].as_u64() != Some(sum.bytes) {
        return Err(format!("after {} bytes came the offset {}", sum.bytes, event["offset"]));
    }
    match (event["text"].as_str(), event["base64"].as_str()) {
        (Some(text), _) => sum.push(text.as_bytes()),
        (_, Some(text)) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text);
            sum.push(&bytes.map_err(|error| error.to_string())?);
        }
        _ => return Err(format!("a log event without bytes: {data}")),
    }
    Ok(())
}

/// By the command line, which reconnects itself.
pub(crate) fn by_command(mut command: Command) -> Result<Got, String> {
    let said = |error: std::io::Error| format!("danube logs: {error}");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(said)?;
    let mut out = child.stdout.take().ok_or("it has an output")?;
    let (mut sum, mut buffer) = (Sum::new(), vec![0; 1 << 16]);
    loop {
        match out.read(&mut buffer).map_err(said)? {
            0 => break,
            n => sum.push(&buffer[..n]),
        }
    }
    let status = child.wait().map_err(said)?;
    if status.success() { Ok(sum.end()) } else { Err(format!("danube logs ended with {status}")) }
}

/// By ranges: asks for what comes after the bytes it has, until the job has ended.
pub(crate) fn by_ranges(socket: PathBuf, job: &str, limit: Duration) -> Result<Got, String> {
    let door = Door::Socket(socket);
    let (mut sum, end) = (Sum::new(), Instant::now() + limit);
    while Instant::now() < end {
        // Asked before the bytes: what was written before the end is in the file then.
        let over =
            send(&door, "GET", &format!("/api/v1/jobs/{job}"), &[], b"").ok().filter(|reply| reply.status == 200);
        let over = over.map(|reply| !reply.json()["finished_at"].is_null());
        let range = format!("bytes={}-", sum.bytes);
        let path = format!("/api/v1/jobs/{job}/steps/1/log");
        let (Some(over), Ok(reply)) = (over, send(&door, "GET", &path, &[("Range", &range)], b"")) else {
            std::thread::sleep(PAUSE);
            continue;
        };
        match reply.status {
            // A server that was killed in the middle of an answer gave fewer bytes; the next one gives the rest.
            206 => sum.push(&reply.body),
            200 if sum.bytes == 0 => sum.push(&reply.body),
            416 if over => return Ok(sum.end()),
            404 | 416 | 503 => std::thread::sleep(PAUSE),
            other => return Err(format!("{range}: {other} {}", reply.text())),
        }
    }
    Err(format!("no end within {limit:?} after {} bytes", sum.bytes))
}
