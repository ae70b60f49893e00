//! The child that tries whether a service answers, and says so once.

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use danube_shim::start::ContainerStart;
use danube_shim::sys::{self, Ended};

use super::command;

/// Between two tries; the pause doubles up to the second one.
const PAUSE: (Duration, Duration) = (Duration::from_millis(25), Duration::from_secs(1));
/// How long one connection is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tries until it goes well, however long that takes; who waits bounds it.
pub(super) fn watch(start: &ContainerStart, groups: &[u32], mut pipe: File) -> i32 {
    sys::default_signals();
    let Some(ready) = &start.ready else { return 0 };
    let mut pause = PAUSE.0;
    loop {
        let well = match ready.argv.is_empty() {
            true => connects(&ready.address),
            false => succeeds(start, groups, &ready.argv),
        };
        if well {
            return i32::from(pipe.write_all(b"!").is_err());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSE.1);
    }
}

fn connects(address: &str) -> bool {
    let Ok(address) = address.parse::<SocketAddr>() else { return false };
    TcpStream::connect_timeout(&address, PATIENCE).is_ok()
}

/// What it prints is not the service's output.
fn succeeds(start: &ContainerStart, groups: &[u32], argv: &[String]) -> bool {
    match sys::fork() {
        Ok(None) => {
            if sys::silence().is_err() {
                sys::leave(1);
            }
            let probe = ContainerStart { argv: argv.to_vec(), ready: None, ..start.clone() };
            sys::leave(command::become_command(&probe, groups))
        }
        Ok(Some(child)) => matches!(sys::wait(child), Ok(Ended::Code(0))),
        Err(_) => false,
    }
}
