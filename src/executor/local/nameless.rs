//! Files that have lost their names and are still held by processes of a job: no walk through a tree meets them, and
//! they take their space all the same.
//!
//! The processes are hostile and change what they hold at any time. Each is looked at through its own directory of
//! /proc, which never becomes another's. A file is taken without being opened, so that nothing waits and no device
//! hears of it, and what was taken is what is looked at.
use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{FileType, FsWord, Mode, OFlags, fstat, fstatfs, open};
use rustix::io::Errno;

use super::Local;
use super::measure::Amount;
use super::processes::is_in;
use crate::model::JobId;

/// What these file systems hold (tmpfs, ramfs, hugetlbfs) is memory of the step and bounded as such.
const IN_MEMORY: [FsWord; 3] = [0x0102_1994, 0x8584_58f6, 0x9584_58f6];

/// What `stat` counts blocks in, whatever the file system does.
const BLOCK: u64 = 512;

impl Local {
    /// What the processes of a job hold without a name.
    pub(super) fn held(&self, job: JobId, limit: Instant) -> io::Result<Amount> {
        let cgroup = self.job_cgroup(job);
        let mut files = Files { seen: HashSet::new(), held: Amount::default(), limit };
        for pid in self.cgroups.processes(&cgroup) {
            files.add(pid, &|process| is_in(process, &cgroup))?;
        }
        Ok(files.held)
    }
}

/// What was found, each file once.
struct Files {
    seen: HashSet<(u64, u64)>,
    held: Amount,
    limit: Instant,
}

impl Files {
    /// Adds what a process holds, if it is one of theirs: its number may have gone to somebody else.
    fn add(&mut self, pid: i32, are_theirs: &dyn Fn(&Path) -> bool) -> io::Result<()> {
        let Some(process) = Process::open(pid)? else { return Ok(()) };
        let mut maps = false;
        // A thread may have descriptors of its own, and outlive the first one.
        for thread in process.entries("task") {
            let Some(thread) = thread.to_str().and_then(|name| name.parse().ok()) else { continue };
            let Some(thread) = Process::open(thread)?.filter(|thread| are_theirs(&thread.path())) else { continue };
            for name in thread.entries("fd") {
                self.look_at(&thread.path().join("fd").join(name))?;
            }
            // Memory is shared by all of them.
            if !maps {
                maps = self.add_mapped(&thread)?;
            }
        }
        Ok(())
    }

    /// Adds what is mapped into memory, with or without a descriptor; false where nothing is.
    fn add_mapped(&mut self, process: &Process) -> io::Result<bool> {
        let Ok(text) = fs::read(process.path().join("maps")) else { return Ok(false) };
        let nameless = text.split(|byte| *byte == b'\n').filter(|line| line.ends_with(b"(deleted)"));
        for line in nameless {
            let range = line.split(|byte| *byte == b' ').next().unwrap_or_default();
            if let Ok(range) = std::str::from_utf8(range) {
                self.look_at(&process.path().join("map_files").join(range))?;
            }
        }
        Ok(!text.is_empty())
    }

    fn look_at(&mut self, link: &Path) -> io::Result<()> {
        if Instant::now() >= self.limit {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "not counted in time"));
        }
        let Some(file) = take(link)? else { return Ok(()) };
        let Ok(stat) = fstat(&file) else { return Ok(()) };
        let nameless = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 0;
        if nameless && !in_memory(&file) && self.seen.insert((stat.st_dev, stat.st_ino)) {
            let bytes = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(BLOCK);
            self.held = self.held.and(Amount { bytes, inodes: 1 });
        }
        Ok(())
    }
}

/// The directory of a process or thread, and of no other that gets its number later.
struct Process(File);

impl Process {
    fn open(id: i32) -> io::Result<Option<Self>> {
        Ok(take(&Path::new("/proc").join(id.to_string()))?.map(|file| Self(file.into())))
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }

    /// The names in a directory of it; none where it has ended meanwhile.
    fn entries(&self, dir: &str) -> Vec<std::ffi::OsString> {
        let entries = fs::read_dir(self.path().join(dir)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).collect()
    }
}

/// What a path leads to right now; `None` where that is gone. It fails where this process has no room to look.
fn take(path: &Path) -> io::Result<Option<OwnedFd>> {
    match open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => Ok(Some(file)),
        Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

fn in_memory(file: impl AsFd) -> bool {
    fstatfs(file).is_ok_and(|stat| IN_MEMORY.contains(&stat.f_type))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufRead as _;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    fn held_by(pid: u32, are_theirs: bool, limit: Instant) -> io::Result<Amount> {
        let mut files = Files { seen: HashSet::new(), held: Amount::default(), limit };
        files.add(i32::try_from(pid).unwrap(), &|_| are_theirs).map(|()| files.held)
    }

    #[test]
    fn what_is_held_without_a_name_is_counted_once_and_what_has_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let script = "exec 3> nameless; rm nameless; head -c 1048576 /dev/zero >&3; exec 4>&3; \
                      exec 5> named; head -c 2097152 /dev/zero >&5; echo up; exec sleep 600";
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let limit = Instant::now() + Duration::from_secs(60);
        let found = held_by(child.id(), true, limit);
        let others = held_by(child.id(), false, limit);
        let late = held_by(child.id(), true, Instant::now());
        child.kill().unwrap();
        child.wait().unwrap();
        let gone = held_by(child.id(), true, limit).unwrap();
        let found = found.unwrap();
        if in_memory(File::open(dir.path()).unwrap()) {
            assert_eq!(found, Amount::default());
        } else {
            assert!(found.inodes == 1 && (1 << 20..2 << 20).contains(&found.bytes), "{found:?}");
        }
        assert_eq!((others.unwrap(), gone), (Amount::default(), Amount::default()));
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
