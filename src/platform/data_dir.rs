//! Whether the data directory can be used: it is still the same one, and takes writes.
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file that a look writes and removes.
const PROBE: &str = ".writable";
/// Bytes of it: less than this is no room to work with.
const ROOM: usize = 256 << 10;

/// What is wrong with a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Another directory, or none, is in its place.
    Gone,
    /// It takes no writes.
    ReadOnly,
    /// No space is left.
    Full,
    /// It gives errors.
    Broken(String),
}

impl Trouble {
    /// In few words, for lists of what is down.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Gone => "data directory (gone)",
            Self::ReadOnly => "data directory (read-only)",
            Self::Full => "data directory (full)",
            Self::Broken(_) => "data directory (errors)",
        }
    }

    /// What happened to the directory and what to do, in two sentences.
    pub fn sentence(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Gone => format!(
                "The data directory {path} is not in its place any more: it was moved, or its disk was unmounted. Put it \
                 back and start the server again; nothing was written to another place, and running steps go on meanwhile."
            ),
            Self::ReadOnly => format!(
                "The data directory {path} is read-only: nothing can be stored, and jobs wait. Look at its disk and its \
                 mount (`dmesg`, `mount`); where it had to be mounted again, start the server again."
            ),
            Self::Full => format!(
                "The disk of the data directory {path} is full: nothing can be stored, and jobs wait. Free some space; \
                 the server goes on by itself."
            ),
            Self::Broken(why) => format!(
                "The data directory {path} gives errors ({why}): what can't be stored is refused, and jobs wait. Look at \
                 its disk and its rights (`dmesg`, `ls -ld`)."
            ),
        }
    }
}

/// A data directory that was found good, and what the last look at it came to.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held open: its number is given to no other directory meanwhile.
    dir: File,
    last: Mutex<Option<Trouble>>,
}

impl DataDir {
    /// Remembers which directory is at the path.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), dir: File::open(path)?, last: Mutex::default() })
    }

    /// What the last look came to.
    pub fn trouble(&self) -> Option<Trouble> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same as sentences for people.
    pub fn sentence(&self) -> Option<String> {
        self.trouble().map(|trouble| trouble.sentence(&self.path))
    }

    /// Looks again; blocks. What changed since the last look is logged.
    pub fn look(&self) -> Option<Trouble> {
        let found = self.found();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != found {
            match &found {
                Some(trouble) => tracing::error!("{}", trouble.sentence(&self.path)),
                None => tracing::info!(path = %self.path.display(), "the data directory takes writes again"),
            }
            last.clone_from(&found);
        }
        found
    }

    fn found(&self) -> Option<Trouble> {
        let of = |error: &io::Error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Trouble::Gone,
            ErrorKind::ReadOnlyFilesystem => Trouble::ReadOnly,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Trouble::Full,
            _ => Trouble::Broken(error.to_string()),
        };
        let same = || Ok(id(&fs::metadata(&self.path)?) == id(&self.dir.metadata()?));
        match same() {
            Ok(true) => self.probe().err().as_ref().map(of),
            Ok(false) => Some(Trouble::Gone),
            Err(error) => Some(of(&error)),
        }
    }

    fn probe(&self) -> io::Result<()> {
        let path = self.path.join(PROBE);
        let write = || {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            // A link that somebody left under that name is not written through.
            let mut file = options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()).open(&path)?;
            file.write_all(&vec![0; ROOM])
        };
        let written = write();
        // A write that failed may have taken the last of the space.
        let removed = fs::remove_file(&path);
        written.and(removed)
    }
}

fn id(meta: &fs::Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_directory_is_in_no_trouble_and_nothing_stays_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        assert_eq!((data.look(), data.trouble(), data.sentence()), (None, None, None));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn another_directory_in_its_place_is_not_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, away) = (dir.path().join("data"), dir.path().join("away"));
        fs::create_dir(&path).unwrap();
        let data = DataDir::open(&path).unwrap();
        fs::rename(&path, &away).unwrap();
        assert_eq!(data.look(), Some(Trouble::Gone));
        fs::create_dir(&path).unwrap();
        assert_eq!(data.look(), Some(Trouble::Gone));
        assert!(data.sentence().unwrap().contains("Put it back"), "{:?}", data.sentence());
        fs::remove_dir(&path).unwrap();
        fs::rename(&away, &path).unwrap();
        assert_eq!(data.look(), None);
    }
}
