//! `danube-shim init`: the first process of a container.
//!
//! Owns: the step's files, its environment, and every process of the container.
//! May use: the start frame of the library half.
//! Must not touch: output, which belongs to the command from its first byte.

mod command;
mod files;

use danube_shim::frame;
use danube_shim::start::ContainerStart;
use danube_shim::sys::{self, Ended, Signals};

/// What the command is told to do and whoever else listens.
const FORWARDED: [i32; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];
/// What the init ends with when the command could not even be tried.
const NOT_STARTED: i32 = 125;

/// Runs the command of the start frame; its exit code, or 128 + signal.
pub(crate) fn run() -> i32 {
    match run_command() {
        Ok(code) => code,
        Err(problem) => {
            crate::say(&format!("danube: {problem}"));
            NOT_STARTED
        }
    }
}

fn run_command() -> Result<i32, String> {
    let failed = |error: std::io::Error| format!("cannot prepare the step: {error}");
    // Before the frame is read: from here on no process of the same user can look in here.
    sys::become_undumpable().map_err(failed)?;
    let signals = Signals::hold(&[&FORWARDED[..], &[libc::SIGCHLD]].concat()).map_err(failed)?;
    let start = read_start()?;
    files::place(&start)?;
    let child = sys::fork().map_err(failed)?;
    let Some(child) = child else {
        return Ok(command::become_command(&start));
    };
    drop(start);
    loop {
        let signal = signals.next().map_err(failed)?;
        if signal != libc::SIGCHLD {
            forward(signal, child);
            continue;
        }
        while let Some((pid, ended)) = sys::reap() {
            if pid == child {
                return Ok(match ended {
                    Ended::Code(code) => code,
                    Ended::Signal(signal) => 128 + signal,
                });
            }
        }
    }
}

fn read_start() -> Result<ContainerStart, String> {
    // Whatever else a runtime left open belongs to nobody in here.
    sys::close_from(4).map_err(|error| format!("cannot close what was inherited: {error}"))?;
    let mut frame_in = sys::inherited(3).map_err(|error| format!("descriptor 3 must be the start frame: {error}"))?;
    let start: ContainerStart =
        frame::read(&mut frame_in, frame::CONTAINER_START_LIMIT).map_err(|error| error.to_string())?;
    match start.argv.is_empty() {
        true => Err("the step has no command".to_owned()),
        false => Ok(start),
    }
}

/// As the first process of a container, to every other process in it; else, to the command's
/// session alone: -1 would mean every process of the machine.
fn forward(signal: i32, child: i32) {
    match std::process::id() {
        1 => sys::kill(-1, signal),
        _ => sys::kill(-child, signal),
    }
}
