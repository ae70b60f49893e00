//! One master per data directory: a lock that dies with its holder.
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, bail};
use rustix::fs::FlockOperation;

use crate::cli::privileges;

/// Holds the data directory for as long as the file is open; names the holder where another has it.
pub(super) fn hold(data: &Path) -> anyhow::Result<File> {
    let path = data.join("lock");
    let mut file = privileges::open_own(&path).with_context(|| format!("cannot open {}", path.display()))?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        file.read_to_string(&mut holder)?;
        bail!("the data directory {} is in use by another danube (process {})", data.display(), holder.trim());
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}
