//! Files that nobody else sees: finished ones of known length, and short-lived secrets.
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A finished file without a name, positioned at its start: it is gone when it is closed.
#[derive(Debug)]
pub struct Sealed {
    /// Its bytes.
    pub file: File,
    /// How many.
    pub len: u64,
}

/// Makes a file in `dir` that has no name any more.
pub(super) fn nameless(dir: &Path) -> io::Result<File> {
    let (path, file) = create(dir, "scratch")?;
    fs::remove_file(path)?;
    Ok(file)
}

pub(super) fn seal(mut file: File) -> io::Result<Sealed> {
    let len = file.stream_position()?;
    file.seek(SeekFrom::Start(0))?;
    Ok(Sealed { file, len })
}

/// A file with a name and mode 0600 that is removed when dropped.
#[derive(Debug)]
pub(super) struct Named(PathBuf);

impl Named {
    pub(super) fn write(dir: &Path, bytes: &[u8]) -> io::Result<Self> {
        let (path, mut file) = create(dir, "key")?;
        let named = Self(path);
        file.write_all(bytes)?;
        Ok(named)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // Whatever is left is swept at the next start.
        let _gone = fs::remove_file(&self.0);
    }
}

fn create(dir: &Path, kind: &str) -> io::Result<(PathBuf, File)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    loop {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!(".{kind}.{}.{n}.tmp", std::process::id()));
        match options.open(&path) {
            // A process of the same id left it behind when it was killed.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (path, file)),
        }
    }
}

/// Removes what a killed process left in `dir`.
pub(super) fn sweep(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(".tmp") && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_sealed_file_has_its_length_and_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = nameless(dir.path()).unwrap();
        file.write_all(b"pack").unwrap();
        let mut sealed = seal(file).unwrap();
        let mut text = String::new();
        sealed.file.read_to_string(&mut text).unwrap();
        assert_eq!((sealed.len, text.as_str()), (4, "pack"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_key_file_is_private_and_goes_with_its_owner_or_the_sweep() {
        let dir = tempfile::tempdir().unwrap();
        let key = Named::write(dir.path(), b"k").unwrap();
        assert_eq!(fs::metadata(key.path()).unwrap().permissions().mode() & 0o777, 0o600);
        let path = key.path().to_owned();
        drop(key);
        assert!(!path.exists());
        std::mem::forget(Named::write(dir.path(), b"k").unwrap());
        fs::write(dir.path().join("kept.git"), b"").unwrap();
        sweep(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
