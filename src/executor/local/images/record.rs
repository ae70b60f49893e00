//! What is noted beside a layer: its size, its last use, whether it is safe on disk.
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_NOW, futimens, openat2, statat,
};
use serde::{Deserialize, Serialize};

use super::refused;
use crate::executor::unpack::Unpacked;
use crate::executor::{ExecutorError, Layer};

pub(super) const NAME: &str = "layer.json";
/// Beside it once all of the layer is on disk.
const SYNCED: &str = "synced";

/// A layer.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::executor::local) struct Record {
    version: u32,
    pub(super) digest: String,
    diff_id: String,
    pub(super) bytes: u64,
    entries: u64,
    /// Directories that are only parts of paths.
    #[serde(default)]
    implied: Vec<String>,
    /// The start of the machine in which it was unpacked.
    boot: String,
}

impl Record {
    pub(super) fn new(layer: &Layer, unpacked: Unpacked) -> Self {
        Self {
            version: 1,
            digest: layer.digest.clone(),
            diff_id: layer.diff_id.clone(),
            bytes: unpacked.bytes,
            entries: unpacked.entries,
            implied: unpacked.implied,
            boot: boot(),
        }
    }

    pub(super) fn read(place: &Path) -> Option<Self> {
        let text = fs::read(place.join(NAME)).ok()?;
        serde_json::from_slice(&text).ok().filter(|record: &Self| record.version == 1)
    }

    /// Whether all of it is there still: after the machine went down, what was never synced may be in pieces.
    pub(in crate::executor::local) fn is_whole(place: &Path) -> bool {
        Self::read(place).is_some_and(|record| record.boot == boot() || place.join(SYNCED).exists())
    }
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Notes that a layer was used.
pub(super) fn touch(place: &Path) -> io::Result<()> {
    let file = File::open(place.join(NAME))?;
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    Ok(futimens(&file, &Timestamps { last_access: now, last_modification: now })?)
}

/// When it was last used, in seconds since 1970.
pub(super) fn used_at(place: &Path) -> i64 {
    let used = fs::metadata(place.join(NAME)).and_then(|meta| meta.modified());
    let since = used.ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Brings a layer to the disk without making anybody wait for it.
pub(super) fn sync_later(place: &Path) {
    let place = place.to_owned();
    let thread = std::thread::Builder::new().name("sync".to_owned()).stack_size(64 << 10).spawn(move || {
        let synced = File::open(&place).and_then(|dir| Ok(rustix::fs::syncfs(&dir)?));
        let synced = synced.and_then(|()| {
            crate::platform::fault::around("executor.layer_synced", || File::create(place.join(SYNCED)).map(drop))
        });
        if let Err(error) = synced {
            tracing::debug!(%error, "a layer is not known to be on disk; it counts until the machine starts anew");
        }
    });
    if let Err(error) = thread {
        tracing::debug!(%error, "a layer is not synced");
    }
}

/// Layers are unpacked apart from each other: what one of them puts below a directory that is a link in those beneath
/// would hide all that is there. `places` begin with the lowest.
pub(super) fn check_order(places: &[PathBuf]) -> Result<(), ExecutorError> {
    for (n, place) in places.iter().enumerate().skip(1) {
        let Some(record) = Record::read(place) else { continue };
        for dir in &record.implied {
            let below = places[..n].iter().rev().find_map(|lower| kind_in(lower, dir));
            if below == Some(FileType::Symlink) {
                return Err(refused(format!(
                    "its layer {} has files below {dir}, which is a link in the layers beneath it: build the image again \
                     so that the layer names the place where the link leads",
                    record.digest
                )));
            }
        }
    }
    Ok(())
}

/// What a layer has at a path, itself not followed.
fn kind_in(place: &Path, path: &str) -> Option<FileType> {
    let root = File::open(place.join("fs")).ok()?;
    let path = Path::new(path.trim_start_matches('/'));
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let parent = match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            File::from(openat2(&root, parent, flags, Mode::empty(), resolve).ok()?)
        }
        None => root,
    };
    let found = statat(&parent, path.file_name()?, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(found.st_mode))
}
