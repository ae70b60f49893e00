//! `danube-shim init`: the first process of a container.
//!
//! Owns: the step's files, its environment, and every process of the container.
//! May use: the start frame of the library half.
//! Must not touch: output, which belongs to the command from its first byte.

mod command;
mod files;
mod ready;
mod trust;
mod user;

use std::fs::File;
use std::time::{Duration, Instant};

use danube_shim::frame;
use danube_shim::start::ContainerStart;
use danube_shim::sys::{self, Ended, Signals};

/// What the command is told to do and whoever else listens.
const FORWARDED: [i32; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];
/// How long what the command left behind gets to end.
const FAREWELL: Duration = Duration::from_secs(2);
/// What the init ends with when the command could not even be tried.
const NOT_STARTED: i32 = 125;

/// Runs the command of the start frame; its exit code, or 128 + signal. A test of what protects a step has one of its
/// protections left out by a word; who starts this inside a step exposes only what is its own already.
pub(crate) fn run(without: &[&str]) -> i32 {
    match run_command(without) {
        Ok(code) => code,
        Err(problem) => {
            crate::say(&format!("danube: {problem}"));
            NOT_STARTED
        }
    }
}

fn run_command(without: &[&str]) -> Result<i32, String> {
    let failed = |error: std::io::Error| format!("cannot prepare the step: {error}");
    // Before the frame is read: from here on no process of the same user can look in here.
    if !without.contains(&"--dumpable") {
        sys::become_undumpable().map_err(failed)?;
    }
    let signals = Signals::hold(&[&FORWARDED[..], &[libc::SIGCHLD]].concat()).map_err(failed)?;
    let (mut start, pipe) = read_start(without.contains(&"--keep-frame"))?;
    let groups = user::settle(&mut start)?;
    trust::settle(&mut start)?;
    files::place(&start)?;
    let child = sys::fork().map_err(failed)?;
    let Some(child) = child else {
        return Ok(command::become_command(&start, &groups));
    };
    if let Some(pipe) = pipe
        && sys::fork().map_err(failed)?.is_none()
    {
        return Ok(ready::watch(&start, &groups, pipe));
    }
    drop(start);
    follow(&signals, child).map_err(failed)
}

/// Collects every process of the container until the command has ended; its exit code.
fn follow(signals: &Signals, child: i32) -> std::io::Result<i32> {
    let mut asked = false;
    let mut code = None;
    loop {
        match signals.next()? {
            libc::SIGCHLD => {
                while let Some((pid, ended)) = sys::reap() {
                    if pid == child {
                        code = Some(exit_code(ended));
                    }
                }
            }
            signal => {
                asked = true;
                forward(signal, child);
            }
        }
        let Some(code) = code else { continue };
        if !is_first() {
            return Ok(code);
        }
        if !asked {
            bid_farewell(signals, child);
            return Ok(code);
        }
        // What was asked to end gets its time, though the command was quicker: who asked says when that is over.
        if !sys::has_children() {
            return Ok(code);
        }
    }
}

/// Asks what the command left behind to end, and gives it a moment. The kernel ends the rest with this process.
fn bid_farewell(signals: &Signals, child: i32) {
    let end = Instant::now() + FAREWELL;
    let mut asked = false;
    while sys::has_children() {
        if !asked {
            forward(libc::SIGTERM, child);
            asked = true;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        match signals.next_within(left) {
            Ok(Some(libc::SIGCHLD)) => while sys::reap().is_some() {},
            Ok(Some(signal)) => forward(signal, child),
            Ok(None) => {}
            Err(_) => return,
        }
    }
}

const fn exit_code(ended: Ended) -> i32 {
    match ended {
        Ended::Code(code) => code,
        Ended::Signal(signal) => 128 + signal,
    }
}

/// Whether this is the first process of a container: all others are its children, or children of those.
fn is_first() -> bool {
    std::process::id() == 1
}

/// The frame and, of a service, where to say that it answers.
fn read_start(keep: bool) -> Result<(ContainerStart, Option<File>), String> {
    // Whatever else a runtime left open belongs to nobody in here.
    sys::close_from(5).map_err(|error| format!("cannot close what was inherited: {error}"))?;
    let mut frame_in = sys::inherited(3).map_err(|error| format!("descriptor 3 must be the start frame: {error}"))?;
    let start: ContainerStart =
        frame::read(&mut frame_in, frame::CONTAINER_START_LIMIT).map_err(|error| error.to_string())?;
    let pipe = match start.ready.is_some() {
        true => Some(sys::inherited(4).map_err(|error| format!("descriptor 4 must be a pipe: {error}"))?),
        false => sys::close_from(4).map(|()| None).map_err(|error| error.to_string())?,
    };
    if keep {
        // A copy under the same number is inherited by what is started.
        sys::place(&frame_in, 4).map_err(|error| error.to_string())?;
    }
    match start.argv.is_empty() {
        true => Err("the step has no command".to_owned()),
        false => Ok((start, pipe)),
    }
}

/// As the first process of a container, to every other process in it; else, to the command's
/// session alone: -1 would mean every process of the machine. What was stopped goes on, or it would
/// never hear what it is told.
fn forward(signal: i32, child: i32) {
    let to = if is_first() { -1 } else { -child };
    sys::kill(to, signal);
    sys::kill(to, libc::SIGCONT);
}
