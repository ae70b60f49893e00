//! Ranges of 65,536 uids, one per running job, leased among all executors of the machine.
//!
//! A lease is a file `<n>` that names the job's directory; it holds as long as that directory
//! exists, so a range is not used again before the files of its job are gone, whoever died.
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::platform::fault;

/// The first uid of the pool: above every range that distributions and container managers hand out
/// (systemd-nspawn ends at 0x6FFFFFFF), below 2^31.
const POOL: u32 = 0x7000_0000;

/// Ranges of jobs in the pool. The first before them is kept for shims, the last behind them for images.
const RANGES: u32 = 4094;

const SIZE: u32 = 65_536;

/// The number of a range among those of the machine, from 1.
pub(super) fn number(base: u32) -> u32 {
    base.saturating_sub(POOL) / SIZE
}

/// The users of the host that a container's users are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    /// The container's root.
    pub(super) base: u32,
    pub(super) size: u32,
}

impl Range {
    /// In a user namespace with one user, that one.
    pub(super) const ONE: Self = Self { base: 0, size: 1 };

    /// The owners of the files of images on disk, shared by all jobs; nobody runs as one of them.
    pub(super) const IMAGES: Self = Self { base: POOL + (RANGES + 1) * SIZE, size: SIZE };

    /// A range of the pool.
    pub(super) fn leased(base: u32) -> Self {
        Self { base, size: SIZE }
    }

    /// The host's user for the container's; who has none becomes the container's root.
    pub(super) fn host(self, uid: u32) -> u32 {
        if uid < self.size { self.base + uid } else { self.base }
    }
}

/// The uid and gid of an instance's shims: in the pool's first range, which no job gets.
pub(super) fn shim_uid(instance: &str) -> u32 {
    let low = u32::from_str_radix(instance, 16).unwrap_or(0) & 0xFFFF;
    POOL + low.max(1)
}

/// Leases a range for the job whose directory is `owner`; the same one when asked again.
/// Gives its first uid.
pub(super) fn lease(dir: &Path, owner: &Path) -> io::Result<u32> {
    let _lock = locked(dir)?;
    let mut free = None;
    for n in 1..=RANGES {
        match holder(dir, n)? {
            Some(holder) if holder == owner => return Ok(POOL + n * SIZE),
            Some(holder) if holder.exists() => {}
            _ => free = free.or(Some(n)),
        }
        if free.is_some() && n > last_used(dir)? {
            break;
        }
    }
    let n = free.ok_or_else(|| io::Error::other("all 4094 uid ranges are in use"))?;
    fault::around("executor.lease", || fs::write(dir.join(n.to_string()), owner.as_os_str().as_encoded_bytes()))?;
    Ok(POOL + n * SIZE)
}

/// Gives a job's range back, after its directory is gone.
pub(super) fn release(dir: &Path, owner: &Path) -> io::Result<()> {
    let _lock = locked(dir)?;
    for n in 1..=last_used(dir)? {
        if holder(dir, n)?.is_some_and(|h| h == owner) {
            fault::around("executor.release", || fs::remove_file(dir.join(n.to_string())))?;
        }
    }
    Ok(())
}

/// Moves a job's directory to another job, with the range of its files: in one step for whoever leases.
pub(super) fn hand_over(dir: &Path, from: &Path, to: &Path) -> io::Result<()> {
    let _lock = locked(dir)?;
    fs::rename(from, to)?;
    for n in 1..=last_used(dir)? {
        if holder(dir, n)?.is_some_and(|holder| holder == from) {
            let lease = dir.join(n.to_string());
            fault::around("executor.hand_over", || fs::write(lease, to.as_os_str().as_encoded_bytes()))?;
        }
    }
    Ok(())
}

/// Leases the range that begins at `base`, for files that are in it already: leases do not outlive the machine's
/// start, directories do. False: somebody else has it.
pub(super) fn claim(dir: &Path, owner: &Path, base: u32) -> io::Result<bool> {
    let n = base.wrapping_sub(POOL) / SIZE;
    if !(1..=RANGES).contains(&n) || POOL + n * SIZE != base {
        return Ok(false);
    }
    let _lock = locked(dir)?;
    if holder(dir, n)?.is_some_and(|holder| holder != owner && holder.exists()) {
        return Ok(false);
    }
    fault::around("executor.claim", || fs::write(dir.join(n.to_string()), owner.as_os_str().as_encoded_bytes()))?;
    Ok(true)
}

/// Gives the ranges back whose jobs lay below `jobs` and are gone; whose they were.
pub(super) fn release_gone(dir: &Path, jobs: &Path) -> io::Result<Vec<PathBuf>> {
    let _lock = locked(dir)?;
    let mut gone = Vec::new();
    for n in 1..=last_used(dir)? {
        if let Some(owner) = holder(dir, n)?.filter(|owner| owner.starts_with(jobs) && !owner.exists()) {
            fs::remove_file(dir.join(n.to_string()))?;
            gone.push(owner);
        }
    }
    Ok(gone)
}

/// The directories of jobs that hold a range.
pub(super) fn holders(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let _lock = locked(dir)?;
    (1..=last_used(dir)?).filter_map(|n| holder(dir, n).transpose()).collect()
}

fn holder(dir: &Path, n: u32) -> io::Result<Option<PathBuf>> {
    match fs::read_to_string(dir.join(n.to_string())) {
        Ok(text) => Ok(Some(PathBuf::from(text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn last_used(dir: &Path) -> io::Result<u32> {
    let names = fs::read_dir(dir)?.flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    Ok(names.max().unwrap_or(0).min(RANGES))
}

/// The lock lies beside the leases and is held until the file is closed.
fn locked(dir: &Path) -> io::Result<File> {
    fs::create_dir_all(dir)?;
    let file = File::options().create(true).truncate(false).write(true).open(dir.join("lock"))?;
    rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_leased_once_until_its_job_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (uids, a, b) = (dir.path().join("uids"), dir.path().join("a"), dir.path().join("b"));
        fs::create_dir(&a).unwrap();
        fs::create_dir(&b).unwrap();
        let first = lease(&uids, &a).unwrap();
        assert_eq!(lease(&uids, &a).unwrap(), first);
        let second = lease(&uids, &b).unwrap();
        assert_ne!(first, second);
        fs::remove_dir(&a).unwrap();
        let c = dir.path().join("c");
        fs::create_dir(&c).unwrap();
        assert_eq!(lease(&uids, &c).unwrap(), first);
        fs::remove_dir(&c).unwrap();
        release(&uids, &c).unwrap();
        assert!(!uids.join("1").exists());
    }

    #[test]
    fn a_range_goes_with_its_files_and_is_found_again_after_a_start_of_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let (uids, a, b) = (dir.path().join("uids"), dir.path().join("a"), dir.path().join("b"));
        fs::create_dir(&a).unwrap();
        let base = lease(&uids, &a).unwrap();
        hand_over(&uids, &a, &b).unwrap();
        assert!(!a.exists() && b.exists());
        assert_eq!(lease(&uids, &b).unwrap(), base);
        // Leases lie on a tmpfs.
        fs::remove_dir_all(&uids).unwrap();
        assert!(claim(&uids, &b, base).unwrap() && claim(&uids, &b, base).unwrap());
        fs::create_dir(&a).unwrap();
        assert!(!claim(&uids, &a, base).unwrap(), "two owners of one range");
        assert_ne!(lease(&uids, &a).unwrap(), base);
        assert_eq!(lease(&uids, &b).unwrap(), base);
        for wrong in [0, base + 1, POOL, POOL - SIZE] {
            assert!(!claim(&uids, &a, wrong).unwrap(), "{wrong}");
        }
    }

    #[test]
    fn only_ranges_of_ones_own_jobs_that_are_gone_are_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let (uids, own, other) = (dir.path().join("uids"), dir.path().join("own"), dir.path().join("other"));
        for path in [own.join("a"), own.join("b"), other.join("c")] {
            fs::create_dir_all(&path).unwrap();
            lease(&uids, &path).unwrap();
        }
        fs::remove_dir(own.join("b")).unwrap();
        fs::remove_dir(other.join("c")).unwrap();
        assert_eq!(release_gone(&uids, &own).unwrap(), [own.join("b")]);
        assert!(uids.join("1").exists() && !uids.join("2").exists() && uids.join("3").exists());
    }

    #[test]
    fn shims_never_share_a_uid_with_a_job() {
        for instance in ["00000000", "ffffffff", "12345678"] {
            let uid = shim_uid(instance);
            assert!(uid > POOL && uid < POOL + SIZE);
        }
    }
}
