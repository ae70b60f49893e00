//! What trees that jobs made take on disk, counted by a program that follows no link, stays on one file system, counts
//! a file with several names once, and needs neither stack nor path length for what it meets.
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Bytes and names on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Amount {
    pub(super) bytes: u64,
    pub(super) inodes: u64,
}

impl Amount {
    /// What is free on the file system of a directory. One that does not count its inodes has no end of them.
    pub(super) fn free(dir: &Path) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(dir)?;
        let inodes = if stat.f_files == 0 { u64::MAX } else { stat.f_ffree };
        Ok(Self { bytes: stat.f_bfree.saturating_mul(stat.f_frsize), inodes })
    }

    /// Both together.
    pub(super) fn and(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), inodes: self.inodes.saturating_add(other.inodes) }
    }

    /// Of each the smaller one.
    pub(super) fn least(self, other: Self) -> Self {
        Self { bytes: self.bytes.min(other.bytes), inodes: self.inodes.min(other.inodes) }
    }
}

/// What the trees take together. Who writes in them meanwhile may be counted or not.
pub(super) fn measure(dirs: &[PathBuf], patience: Duration) -> io::Result<Amount> {
    let limit = Instant::now() + patience;
    // The second one finds the first one's names in the kernel's memory.
    let bytes = count(&["-B1"], dirs, limit)?;
    let inodes = count(&["--inodes"], dirs, limit)?;
    Ok(Amount { bytes, inodes })
}

/// The bytes that a tree takes.
pub(super) fn bytes(dir: &Path, patience: Duration) -> io::Result<u64> {
    if !dir.is_dir() {
        return Err(io::ErrorKind::NotFound.into());
    }
    count(&["-B1"], &[dir.to_owned()], Instant::now() + patience)
}

fn count(what: &[&str], dirs: &[PathBuf], limit: Instant) -> io::Result<u64> {
    let mut child = Command::new("/usr/bin/du")
        .args(["-s", "-x", "-c"])
        .args(what)
        .arg("--")
        .args(dirs)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    // It fails where something vanishes under its eyes, and has counted all the rest.
    end_of(&mut child, limit)?;
    let mut text = String::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(64 << 10).read_to_string(&mut text)?;
    }
    let total = text.lines().last().and_then(|line| line.strip_suffix("\ttotal")?.parse().ok());
    total.ok_or_else(|| io::Error::other("du gave no total"))
}

fn end_of(child: &mut Child, limit: Instant) -> io::Result<()> {
    while child.try_wait()?.is_none() {
        if Instant::now() >= limit {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(io::ErrorKind::TimedOut, "not counted in time"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn links_do_not_make_a_tree_larger_or_smaller() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
        fs::create_dir(&inside).unwrap();
        fs::create_dir(&outside).unwrap();
        let empty = bytes(&inside, PATIENCE).unwrap();
        fs::write(outside.join("big"), vec![1; 1 << 20]).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("dir")).unwrap();
        std::os::unix::fs::symlink(outside.join("big"), inside.join("file")).unwrap();
        std::os::unix::fs::symlink(&inside, inside.join("loop")).unwrap();
        assert!(bytes(&inside, PATIENCE).unwrap() < empty + (1 << 20));
        fs::write(inside.join("own"), vec![1; 1 << 20]).unwrap();
        let once = bytes(&inside, PATIENCE).unwrap();
        assert!(once >= 1 << 20, "{once}");
        fs::hard_link(inside.join("own"), inside.join("again")).unwrap();
        assert!(bytes(&inside, PATIENCE).unwrap() < once + (1 << 20));
        assert!(bytes(&dir.path().join("absent"), PATIENCE).is_err());
    }

    #[test]
    fn several_trees_are_counted_together() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let places = [one.path().to_owned(), two.path().to_owned()];
        let before = measure(&places, PATIENCE).unwrap();
        assert_eq!(before.inodes, 2, "the two directories themselves");
        fs::write(one.path().join("a"), vec![1; 1 << 20]).unwrap();
        fs::write(two.path().join("b"), "").unwrap();
        let after = measure(&places, PATIENCE).unwrap();
        assert!(after.bytes >= before.bytes + (1 << 20));
        assert_eq!(after.inodes, 4);
    }

    #[test]
    fn nothing_is_waited_for_without_end() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let error = end_of(&mut child, Instant::now()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
