use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

use super::error::io_error;
use super::writer::{INCOMING, make_dir, sync_dir};
use super::{Digest, Error};
use crate::platform::fault;

/// A file that is there, whatever the rows say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OnDisk {
    /// Its digest, taken from its name.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Opens the bytes `range` (end exclusive) of an artifact in a job's directory.
pub fn open_range(dir: &Path, digest: &Digest, range: Range<u64>) -> Result<io::Take<File>, Error> {
    let path = dir.join(digest.to_string());
    let mut file =
        OpenOptions::new().read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(&path).map_err(
            |error| match error.kind() {
                io::ErrorKind::NotFound => Error::NotFound { digest: *digest, dir: dir.to_owned() },
                _ => io_error("open", &path)(error),
            },
        )?;
    let size = file.metadata().map_err(io_error("read the size of", &path))?.len();
    if range.start > range.end || range.end > size {
        return Err(Error::OutOfRange { digest: *digest, start: range.start, end: range.end, size });
    }
    file.seek(SeekFrom::Start(range.start)).map_err(io_error("seek in", &path))?;
    Ok(file.take(range.end - range.start))
}

/// The committed files of a job, sorted by digest; none if its directory is missing.
pub fn list(dir: &Path) -> Result<Vec<OnDisk>, Error> {
    let mut found = Vec::new();
    for entry in entries(dir)? {
        let Some(sha256) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => found.push(OnDisk { sha256, size: metadata.len() }),
            Ok(_) => {}
            // Removed since the directory was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("read the size of", &entry.path())(error)),
        }
    }
    found.sort();
    Ok(found)
}

/// Gives a second job a stored file: one more name of the same bytes, so that neither can take them from the other.
/// False: the first has no such file (any more). Durable when it answers.
pub fn link(from: &Path, to: &Path, digest: &Digest) -> Result<bool, Error> {
    make_dir(to)?;
    let (old, new) = (from.join(digest.to_string()), to.join(digest.to_string()));
    let point = "artifacts.link";
    fault::before(point).map_err(io_error("link", &new))?;
    match fs::hard_link(&old, &new) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(io_error("link", &new)(error)),
        _ => {}
    }
    sync_dir(to)?;
    fault::after(point);
    Ok(true)
}

/// Removes one file; false if it was not there. No row of the job may name the digest any more.
pub fn remove(dir: &Path, digest: &Digest) -> Result<bool, Error> {
    let path = dir.join(digest.to_string());
    let point = "artifacts.remove";
    fault::before(point).map_err(io_error("remove", &path))?;
    if !remove_file(&path)? {
        return Ok(false);
    }
    sync_dir(dir)?;
    fault::after(point);
    Ok(true)
}

/// Removes a job's directory and all that is in it; a missing one is well.
pub fn remove_all(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Ok(()) => dir.parent().map_or(Ok(()), sync_dir),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error("remove", dir)(error)),
    }
}

/// Removes what killed writers left and says how many files that were. Only at start, before any writer.
pub fn sweep(dir: &Path) -> Result<usize, Error> {
    let mut removed = 0;
    for entry in entries(dir)? {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(INCOMING)) && remove_file(&entry.path())? {
            removed += 1;
        }
    }
    Ok(removed)
}

fn remove_file(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_error("remove", path)(error)),
    }
}

fn entries(dir: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.collect::<io::Result<_>>().map_err(io_error("list", dir)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(io_error("list", dir)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::{Kind, Name, begin};

    fn store(dir: &Path, bytes: &[u8]) -> Digest {
        let mut writer = begin(dir, 1 << 20).unwrap();
        writer.write(bytes).unwrap();
        writer.commit(Name::parse("a").unwrap(), Kind::File).unwrap().sha256
    }

    fn read(dir: &Path, digest: &Digest, range: Range<u64>) -> Result<String, Error> {
        let mut text = String::new();
        open_range(dir, digest, range)?.read_to_string(&mut text).unwrap();
        Ok(text)
    }

    #[test]
    fn any_range_inside_the_file_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let digest = store(dir.path(), b"0123456789");
        assert_eq!(read(dir.path(), &digest, 0..10).unwrap(), "0123456789");
        assert_eq!(read(dir.path(), &digest, 3..5).unwrap(), "34");
        assert_eq!(read(dir.path(), &digest, 10..10).unwrap(), "");
    }

    #[test]
    fn a_range_outside_is_refused_with_the_size() {
        let dir = tempfile::tempdir().unwrap();
        let digest = store(dir.path(), b"0123456789");
        #[expect(clippy::reversed_empty_ranges, reason = "a hostile range")]
        for range in [0..11, 11..12, 5..4, u64::MAX..u64::MAX] {
            assert!(matches!(read(dir.path(), &digest, range), Err(Error::OutOfRange { size: 10, .. })));
        }
    }

    #[test]
    fn a_link_in_place_of_the_file_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let digest = Digest::of(b"x");
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join(digest.to_string())).unwrap();
        assert!(matches!(read(dir.path(), &digest, 0..1), Err(Error::Io { .. })));
        assert_eq!(list(dir.path()).unwrap(), []);
    }

    #[test]
    fn the_list_holds_committed_files_only() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (store(dir.path(), b"a"), store(dir.path(), b"bb"));
        let mut open = begin(dir.path(), 10).unwrap();
        open.write(b"half").unwrap();
        let mut expected = [OnDisk { sha256: a, size: 1 }, OnDisk { sha256: b, size: 2 }];
        expected.sort();
        assert_eq!(list(dir.path()).unwrap(), expected);
        assert_eq!(list(&dir.path().join("none")).unwrap(), []);
    }

    #[test]
    fn a_removed_file_is_gone_and_removing_it_again_is_well() {
        let dir = tempfile::tempdir().unwrap();
        let digest = store(dir.path(), b"a");
        assert!(remove(dir.path(), &digest).unwrap());
        assert!(!remove(dir.path(), &digest).unwrap());
        assert!(matches!(read(dir.path(), &digest, 0..1), Err(Error::NotFound { .. })));
    }

    #[test]
    fn a_removed_job_leaves_its_neighbours() {
        let data = tempfile::tempdir().unwrap();
        let (one, two) = (data.path().join("one"), data.path().join("two"));
        let (_, kept) = (store(&one, b"a"), store(&two, b"a"));
        remove_all(&one).unwrap();
        remove_all(&one).unwrap();
        assert!(!one.exists());
        assert_eq!(read(&two, &kept, 0..1).unwrap(), "a");
    }

    #[test]
    fn what_a_killed_writer_left_is_swept_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let kept = store(dir.path(), b"a");
        std::mem::forget(begin(dir.path(), 10).unwrap());
        assert_eq!(sweep(dir.path()).unwrap(), 1);
        assert_eq!(sweep(dir.path()).unwrap(), 0);
        assert_eq!(list(dir.path()).unwrap(), [OnDisk { sha256: kept, size: 1 }]);
        assert_eq!(sweep(&dir.path().join("none")).unwrap(), 0);
    }
}
