//! `danube-shim helper`: fills a job's workspace and takes results out of it, from inside a
//! container of the job, where a hostile workspace can harm nobody else.
//!
//! Owns: how paths below the workspace are opened, packed and unpacked.
//! May use: the headers of the library half, git for a checkout.
//! Must not touch: anything above the current directory, which is the workspace.

mod cache;
mod checkout;
mod collect;
mod copy;
mod export;
mod git;
mod glob;
mod import;
mod path;
mod unpack;

use std::ffi::OsStr;
use std::fs::File;

use danube_shim::sys;

/// Why something cannot be done: one line that the user will read.
type Problem = String;

/// Where a checkout leaves a second copy of the files, for the coordinator.
const SOURCE: &str = "/danube/source";

/// Runs one transfer; 0, or 1 after one line on standard error.
pub(crate) fn run(arguments: &[&str]) -> i32 {
    sys::set_umask(0o022);
    let result = match arguments {
        ["checkout"] => standard(0).and_then(|from| checkout::run(from, SOURCE.as_ref())),
        ["export", path] => standard(1).and_then(|to| export::run(OsStr::new(path), to)),
        ["collect", pattern] => standard(1).and_then(|to| collect::run(pattern, to)),
        ["import", to] => standard(0).and_then(|from| import::run(OsStr::new(to), from)),
        ["cache-save", rest @ ..] => standard(1).and_then(|to| cache::save(rest, to)),
        ["cache-restore", rest @ ..] => standard(0).and_then(|from| cache::restore(rest, from)),
        _ => {
            Err("usage: helper checkout | export PATH | collect PATTERN | import DEST | cache-save … | cache-restore …"
                .to_owned())
        }
    };
    match result {
        Ok(()) => 0,
        Err(problem) => {
            crate::say(&problem);
            1
        }
    }
}

fn standard(number: i32) -> Result<File, Problem> {
    sys::inherited(number).map_err(|error| format!("descriptor {number} is not open: {error}"))
}

fn workspace() -> Result<File, Problem> {
    sys::open_dir(".".as_ref()).map_err(|error| format!("cannot open the workspace: {error}"))
}
