//! The git program on a repository whose content is not trusted.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use super::Problem;

/// How much of git's complaint is repeated, in bytes.
const COMPLAINT_LIMIT: usize = 2 << 10;

/// Nothing of the machine's or the repository's configuration may run a program or reach out.
const SETTINGS: [&str; 10] = [
    "safe.directory=*",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=true",
    "core.attributesFile=/dev/null",
    "protocol.allow=never",
    "submodule.recurse=false",
    "init.defaultBranch=main",
    "gc.auto=0",
    "maintenance.auto=false",
];

/// Runs git in the repository at `dir`.
pub(super) fn git(dir: &Path, arguments: &[&str]) -> Result<(), Problem> {
    finish(command(dir, arguments).output(), arguments)
}

/// Runs git with exactly `length` bytes of `from` on its standard input.
pub(super) fn git_fed(dir: &Path, arguments: &[&str], from: &mut File, length: u64) -> Result<(), Problem> {
    let mut command = command(dir, arguments);
    command.stdin(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_run(&error))?;
    let fed = match child.stdin.take() {
        Some(mut stdin) => io::copy(&mut from.take(length), &mut stdin),
        None => Ok(0),
    };
    // What git says explains more than the pipe that broke when it ended.
    finish(child.wait_with_output(), arguments)?;
    match fed {
        Ok(count) if count == length => Ok(()),
        Ok(count) => Err(format!("{count} of {length} bytes of the commit arrived")),
        Err(error) => Err(format!("cannot receive the commit: {error}")),
    }
}

fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.env_clear();
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.env("HOME", "/nonexistent");
    command.env("LC_ALL", "C");
    command.env("GIT_CONFIG_NOSYSTEM", "1");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_ATTR_NOSYSTEM", "1");
    command.env("GIT_TERMINAL_PROMPT", "0");
    command.current_dir(dir);
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    command.args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn cannot_run(error: &io::Error) -> Problem {
    format!("cannot run git in the helper's image: {error}")
}

fn finish(output: io::Result<std::process::Output>, arguments: &[&str]) -> Result<(), Problem> {
    let output = output.map_err(|error| cannot_run(&error))?;
    if output.status.success() {
        return Ok(());
    }
    let verb = arguments.first().unwrap_or(&"");
    let start = output.stderr.len().saturating_sub(COMPLAINT_LIMIT);
    let complaint = String::from_utf8_lossy(&output.stderr[start..]).into_owned();
    Err(format!("the checkout failed: git {verb}: {}", complaint.trim()))
}
