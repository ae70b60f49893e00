//! The child that becomes the step's command.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use danube_shim::start::ContainerStart;
use danube_shim::sys;

/// What shells end with when a command cannot be found.
const NOT_FOUND: i32 = 127;
/// What shells end with when a command may not be run.
const NOT_ALLOWED: i32 = 126;

/// The shell of every step, and the one that is lent to an image which has none.
const SHELL: &str = "/bin/sh";
const LENT_SHELL: &str = "/danube/sh";

/// Becomes the command; returns an exit code only when that failed, which was said then.
pub(super) fn become_command(start: &ContainerStart, groups: &[u32]) -> i32 {
    sys::new_session();
    if let Err(problem) = prepare(start, groups) {
        crate::say(&format!("danube: {problem}"));
        return NOT_ALLOWED;
    }
    let mut last = std::io::Error::from(ErrorKind::NotFound);
    for program in candidates(start) {
        let error = sys::execute(&program, &start.argv, &start.env);
        // As shells do: a file that may not be run counts more than one that is not there.
        if last.kind() == ErrorKind::NotFound {
            last = error;
        }
    }
    crate::say(&format!("danube: cannot start {}: {last}", start.argv[0]));
    match last.kind() {
        ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_ALLOWED,
    }
}

fn prepare(start: &ContainerStart, groups: &[u32]) -> Result<(), String> {
    sys::default_signals();
    sys::set_umask(0o022);
    if let Some(gid) = start.gid {
        sys::become_group(gid, groups).map_err(|error| format!("cannot become group {gid}: {error}"))?;
    }
    if let Some(uid) = start.uid {
        sys::become_uid(uid).map_err(|error| format!("cannot become user {uid}: {error}"))?;
    }
    std::env::set_current_dir(&start.workdir)
        .map_err(|error| format!("cannot change to {}: {error}", start.workdir.display()))
}

/// The files that the first word may mean.
fn candidates(start: &ContainerStart) -> Vec<OsString> {
    let name = &start.argv[0];
    if name == SHELL && !Path::new(SHELL).exists() && fs::metadata(LENT_SHELL).is_ok_and(|shell| shell.len() > 0) {
        return vec![LENT_SHELL.into()];
    }
    if name.contains('/') {
        return vec![name.into()];
    }
    let path = start.env.iter().find(|(key, _)| key == "PATH");
    let path = path.map_or("/usr/local/bin:/usr/bin:/bin", |(_, value)| value);
    std::env::split_paths(OsStr::new(path))
        .filter(|dir| dir.is_absolute())
        .map(|dir| Path::join(&dir, name).into())
        .collect()
}
