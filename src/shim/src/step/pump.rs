//! The loop of a step: output in, redacted bytes out, until the container has ended.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use danube_shim::control::{Reply, Request};
use danube_shim::index::Stream;
use danube_shim::record::{CAPTURED_LIMIT, Records};
use danube_shim::redact::{Patterns, Redactor};
use danube_shim::start::{Pattern, StepStart};
use danube_shim::sys::{self, Ended};

use super::control::Control;
use super::output::Output;

/// How long a process that outlives the container's first one may keep the output open.
const LINGER: Duration = Duration::from_millis(500);
/// What is read at once.
const CHUNK: usize = 64 << 10;
/// What is taken from a pipe that never ends once the time is over: more than a pipe can hold.
const LAST_CHUNKS: usize = 32;

/// The two outputs of a step and what must not appear in them.
pub(super) struct Pump {
    outlets: [Outlet; 2],
    secrets: Vec<Pattern>,
    captured: Option<Captured>,
    buffer: Vec<u8>,
    clean: Vec<u8>,
    /// Until a service answers.
    ready: Option<(File, Rc<Records>)>,
}

struct Outlet {
    pipe: Option<File>,
    stream: Stream,
    redactor: Redactor,
}

#[derive(Default)]
struct Captured {
    bytes: Vec<u8>,
    too_long: bool,
}

impl Pump {
    pub(super) fn new(start: &StepStart, patterns: Patterns, stdout: File, stderr: File) -> Self {
        let outlet = |pipe, stream| Outlet { pipe: Some(pipe), stream, redactor: Redactor::new(patterns.clone()) };
        Self {
            outlets: [outlet(stdout, Stream::Stdout), outlet(stderr, Stream::Stderr)],
            secrets: start.patterns.clone(),
            captured: start.capture_secret.then(Captured::default),
            buffer: vec![0; CHUNK],
            clean: Vec::new(),
            ready: None,
        }
    }

    /// Notes when a byte comes: the service answers.
    pub(super) fn watch(&mut self, ready: File, records: Rc<Records>) {
        self.ready = Some((ready, records));
    }

    fn hear_of_ready(&mut self) {
        let Some((mut pipe, records)) = self.ready.take() else { return };
        match pipe.read(&mut [0]) {
            // Where that can't be noted the service counts as not ready, and its end is told.
            Ok(1..) => drop(records.set_ready()),
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {
                self.ready = Some((pipe, records));
            }
            _ => {}
        }
    }

    /// Runs until the container's first process has ended and its output too, or the time for
    /// that is over.
    pub(super) fn run(
        &mut self,
        pid: i32,
        pidfd: BorrowedFd<'_>,
        output: &mut Output,
        mut control: Control,
    ) -> io::Result<Ended> {
        let mut ended: Option<(io::Result<Ended>, Instant)> = None;
        loop {
            let patience = match &ended {
                None => -1,
                Some(_) if self.outlets.iter().all(|outlet| outlet.pipe.is_none()) => break,
                Some((_, deadline)) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX)
                }
            };
            let open = |outlet: &Outlet| outlet.pipe.is_some();
            let opened = [open(&self.outlets[0]), open(&self.outlets[1])];
            let mut fds: Vec<BorrowedFd<'_>> = Vec::new();
            fds.extend(ended.is_none().then_some(pidfd));
            fds.extend(self.outlets.iter().flat_map(|o| &o.pipe).map(AsFd::as_fd));
            let waits = self.ready.is_some();
            fds.extend(self.ready.iter().map(|(pipe, _)| pipe.as_fd()));
            fds.extend(control.descriptors());
            let ready = sys::readable(&fds, patience)?;
            drop(fds);
            let mut ready = ready.as_slice();
            let mut next = || ready.split_off_first().copied().unwrap_or(false);
            let over = ended.is_none() && next();
            let readable = opened.map(|open| open && next());
            if waits && next() {
                self.hear_of_ready();
            }
            // Masks first: a value that was registered is masked in what is read from here on.
            control.serve(ready, |request| self.answer(request, output));
            for (which, readable) in readable.into_iter().enumerate() {
                if readable {
                    self.read(which, output);
                }
            }
            if over {
                ended = Some((sys::wait(pid), Instant::now() + LINGER));
            }
            while ended.is_some() && sys::reap().is_some() {}
        }
        match ended {
            Some((ended, _)) => ended,
            None => sys::wait(pid),
        }
    }

    /// Takes what is left, shows what was held back, and keeps what was captured.
    pub(super) fn finish(&mut self, output: &mut Output, records: &Records) -> Result<(), String> {
        for which in 0..self.outlets.len() {
            for _ in 0..LAST_CHUNKS {
                if !self.read(which, output) {
                    break;
                }
            }
            self.end(which, output);
        }
        match self.captured.take() {
            None => Ok(()),
            Some(Captured { too_long: true, .. }) => {
                Err(format!("the step printed more than {} KiB to be captured as a secret", CAPTURED_LIMIT >> 10))
            }
            Some(captured) => records.write_captured(&captured.bytes).map_err(|error| error.to_string()),
        }
    }

    /// Reads once; whether there may be more at once.
    fn read(&mut self, which: usize, output: &mut Output) -> bool {
        let outlet = &mut self.outlets[which];
        let Some(pipe) = &mut outlet.pipe else {
            return false;
        };
        match pipe.read(&mut self.buffer) {
            Ok(0) => {
                self.end(which, output);
                false
            }
            Ok(count) => {
                let bytes = &self.buffer[..count];
                match &mut self.captured {
                    Some(captured) if outlet.stream == Stream::Stdout => captured.add(bytes),
                    _ => {
                        self.clean.clear();
                        outlet.redactor.push(bytes, &mut self.clean);
                        if !self.clean.is_empty() {
                            output.write(outlet.stream, &self.clean);
                        }
                    }
                }
                true
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(_) => {
                self.end(which, output);
                false
            }
        }
    }

    fn end(&mut self, which: usize, output: &mut Output) {
        let outlet = &mut self.outlets[which];
        outlet.pipe = None;
        self.clean.clear();
        outlet.redactor.finish(&mut self.clean);
        if !self.clean.is_empty() {
            output.write(outlet.stream, &self.clean);
        }
    }

    fn answer(&mut self, request: Request, output: &mut Output) -> Reply {
        let error = match request {
            Request::Ping(_) => None,
            Request::Mask(more) => self.mask(more, output).err(),
            Request::Note(line) => {
                self.note(&line, output);
                None
            }
        };
        Reply { ok: error.is_none(), error }
    }

    /// A line of danube's own, of which the master may know as little as the step what is secret in it.
    fn note(&mut self, line: &str, output: &mut Output) {
        match Patterns::new(&self.secrets) {
            Ok(patterns) => output.note(&patterns.redact(line.as_bytes())),
            Err(_) => output.note(b"danube: a remark that cannot be shown"),
        }
    }

    fn mask(&mut self, more: Vec<Pattern>, output: &mut Output) -> Result<(), String> {
        let mut all = self.secrets.clone();
        // A value registered in a loop must not use up the room for patterns.
        all.extend(more.into_iter().filter(|new| {
            let known = |old: &Pattern| old.name == new.name && old.value == new.value;
            !self.secrets.iter().any(known)
        }));
        let patterns = Patterns::new(&all).map_err(|error| error.to_string())?;
        self.secrets = all;
        for outlet in &mut self.outlets {
            self.clean.clear();
            outlet.redactor.replace_patterns(patterns.clone(), &mut self.clean);
            if !self.clean.is_empty() {
                output.write(outlet.stream, &self.clean);
            }
        }
        Ok(())
    }
}

impl Captured {
    fn add(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > CAPTURED_LIMIT {
            self.too_long = true;
            self.bytes.clear();
        } else if !self.too_long {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::os::fd::OwnedFd;

    /// The only test of this program that has a child: the loop collects every child there is.
    #[expect(clippy::zombie_processes, reason = "the loop under test waits for the child")]
    #[test]
    fn output_that_is_kept_open_by_a_stranger_ends_soon_after_the_container() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rec")).unwrap();
        let records = Rc::new(Records::open(dir.path()).unwrap());
        let append = |name| OpenOptions::new().append(true).create(true).open(dir.path().join(name)).unwrap();
        let mut output = Output::open(append("log"), append("idx"), 1000, Rc::clone(&records)).unwrap();
        let pipe = || {
            let (reader, writer) = io::pipe().unwrap();
            sys::set_nonblocking(reader.as_fd()).unwrap();
            (File::from(OwnedFd::from(reader)), writer)
        };
        let ((stdout, mut kept_open), (stderr, also_kept_open)) = (pipe(), pipe());
        let secret = Pattern { name: "T".into(), value: b"hunter22".to_vec() };
        let patterns = Patterns::new(std::slice::from_ref(&secret)).unwrap();
        let outlet = |pipe, stream| Outlet { pipe: Some(pipe), stream, redactor: Redactor::new(patterns.clone()) };
        let mut pump = Pump {
            outlets: [outlet(stdout, Stream::Stdout), outlet(stderr, Stream::Stderr)],
            secrets: vec![secret],
            captured: None,
            buffer: vec![0; CHUNK],
            clean: Vec::new(),
            ready: None,
        };
        kept_open.write_all(b"a hunter22 and hunt").unwrap();
        let child = std::process::Command::new("sh").args(["-c", "exit 6"]).spawn().unwrap();
        let pid = child.id().cast_signed();
        let pidfd = sys::pidfd(pid).unwrap();
        let control = Control::listen(dir.path()).unwrap();
        let ended = pump.run(pid, pidfd.as_fd(), &mut output, control).unwrap();
        pump.finish(&mut output, &records).unwrap();
        assert_eq!(ended, Ended::Code(6));
        assert_eq!(fs::read(dir.path().join("log")).unwrap(), b"a [secret T] and hunt");
        drop((kept_open, also_kept_open));
    }
}
