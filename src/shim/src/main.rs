//! `danube-shim`: the supervisor of one step, the first process of its container, and the hands of
//! a job in its workspace. Programs in one static file, so that one file is mounted.

mod helper;
mod init;
mod probe;
mod step;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let code = match arguments.as_slice() {
        ["step"] => step::run(),
        ["init", rest @ ..] => init::run(rest),
        ["helper", "--follow-links", rest @ ..] => {
            danube_shim::sys::follow_links();
            helper::run(rest)
        }
        ["helper", rest @ ..] => helper::run(rest),
        ["probe", dir] => probe::run(dir.as_ref()),
        _ => {
            say("danube-shim is started by danube: danube-shim step|init|helper|probe …");
            2
        }
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// One line on standard error; where nobody reads it, nothing is lost.
fn say(message: &str) {
    let mut line = message.replace('\n', " ");
    line.push('\n');
    let _ = std::io::stderr().write_all(line.as_bytes());
}
