//! `danube unpack-layer`: the executor's own child, which unpacks one layer of an image. Not a command of people.
use std::process::ExitCode;

use crate::executor::unpack;

/// What this process is to unpack, where it was started for that.
pub(super) fn order() -> Option<String> {
    let mut arguments = std::env::args().skip(1);
    (arguments.next()? == "unpack-layer").then(|| arguments.next()).flatten()
}

/// Unpacks; what it says on standard output is the answer.
pub(super) fn run(order: &str) -> ExitCode {
    ExitCode::from(u8::try_from(unpack::run(order)).unwrap_or(1))
}
