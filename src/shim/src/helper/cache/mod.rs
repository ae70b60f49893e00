//! Caches: directories that a step finds as an earlier step left them.
//!
//! A cache is one tar whose entries begin with the number of the path they belong to. Unlike an artifact it keeps
//! modes and times, because build tools look at them, and links wherever they point: nothing is ever read or written
//! through one.

mod pack;
mod restore;
mod survey;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use danube_shim::sys;

use super::Problem;
use super::path::{beneath, explain};

/// What the content was like when it was restored or stored last.
const STAMP: &str = "stamp";
/// The same for what is being stored; it gets the other name once it is.
const NEXT: &str = "stamp.next";

/// Where one path of a cache lies.
enum Place {
    /// A directory below the cache's own, which steps see under the path.
    Bound(usize),
    /// A file or directory of the workspace.
    Workspace(PathBuf),
}

impl Place {
    /// `b`, or `w:` and a path below the workspace.
    fn parse(number: usize, text: &str) -> Result<Self, Problem> {
        match text.strip_prefix("w:") {
            Some(path) => beneath(OsStr::new(path)).map(Self::Workspace),
            None if text == "b" => Ok(Self::Bound(number)),
            None => Err(format!("'{text}' is no place of a cache")),
        }
    }

    fn shown(&self) -> PathBuf {
        match self {
            Self::Bound(number) => PathBuf::from(number.to_string()),
            Self::Workspace(path) => path.clone(),
        }
    }
}

/// A cache in a container of its job.
struct Cache {
    /// The directory of the bound paths and of the stamps.
    own: File,
    workspace: File,
    places: Vec<Place>,
}

impl Cache {
    fn open(own: &str, places: &[&str]) -> Result<Self, Problem> {
        let own = Path::new(own);
        let own = sys::open_dir(own).map_err(|error| explain(own, &error))?;
        let places = places.iter().enumerate().map(|(number, text)| Place::parse(number, text));
        Ok(Self { own, workspace: super::workspace()?, places: places.collect::<Result<_, _>>()? })
    }

    /// The directory that a place lies below, and its path there.
    fn at<'a>(&'a self, place: &Place) -> (&'a File, PathBuf) {
        match place {
            Place::Bound(number) => (&self.own, PathBuf::from(number.to_string())),
            Place::Workspace(path) => (&self.workspace, path.clone()),
        }
    }

    fn write_stamp(&self, name: &str, stamp: &str) -> io::Result<()> {
        use io::Write as _;
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC;
        sys::open_at(&self.own, OsStr::new(name), flags, 0o600)?.write_all(stamp.as_bytes())
    }

    fn stamp(&self) -> Option<String> {
        let file = sys::open_at(&self.own, OsStr::new(STAMP), libc::O_RDONLY, 0).ok()?;
        io::read_to_string(file).ok()
    }
}

/// `cache-save OWN FILES BYTES PLACE…`: writes the tar, or nothing where the content is what it was. Says on standard
/// error what it left out.
pub(super) fn save(arguments: &[&str], to: File) -> Result<(), Problem> {
    let [own, files, bytes, places @ ..] = arguments else { return Err("a cache needs bounds and places".to_owned()) };
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("'{text}' is not a number"));
    pack::run(&Cache::open(own, places)?, number(files)?, number(bytes)?, to)
}

/// `cache-restore OWN UID GID PLACE…`: puts back what a tar holds, for that user.
pub(super) fn restore(arguments: &[&str], from: File) -> Result<(), Problem> {
    let [own, uid, gid, places @ ..] = arguments else { return Err("a cache needs an owner and places".to_owned()) };
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("'{text}' is not a number"));
    restore::run(&Cache::open(own, places)?, (number(uid)?, number(gid)?), from)
}
