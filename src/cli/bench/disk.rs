//! The machine's own limits of the disk: syncs of groups, and bytes through a pipe into a file.
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

/// Acknowledgements per second of a log that appends a group of records and syncs once.
pub(super) fn group_commits(dir: &Path, group: usize, record: usize, lasting: Duration) -> anyhow::Result<f64> {
    let path = dir.join("group-commit");
    let mut file = File::create(&path)?;
    let bytes = vec![b'x'; group * record];
    let began = Instant::now();
    let mut groups = 0_u32;
    while began.elapsed() < lasting {
        file.write_all(&bytes)?;
        file.sync_data()?;
        groups += 1;
    }
    let rate = f64::from(groups) * group as f64 / began.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}

/// How long `COMMAND | cat > file` takes on the disk of `dir`.
pub(super) fn piped(dir: &Path, command: &str) -> anyhow::Result<Duration> {
    let path = dir.join("piped");
    let file = File::create(&path)?;
    let began = Instant::now();
    let status = Command::new("/bin/sh").arg("-c").arg(format!("{command} | cat")).stdout(file).status();
    let took = began.elapsed();
    ensure!(status.context("cannot run sh")?.success(), "`{command} | cat` failed");
    fs::remove_file(path)?;
    Ok(took)
}
