//! `keys/encryption.key`: 32 raw bytes, readable by their owner alone.
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::SecretError;
use super::key::{KEY_BYTES, Key};
use crate::platform::{Ids, atomic};

/// The key in use.
pub(super) fn current_path(keys: &Path) -> PathBuf {
    keys.join("encryption.key")
}

/// The key that a rotation is going over to.
pub(super) fn next_path(keys: &Path) -> PathBuf {
    keys.join("encryption.key.next")
}

/// Reads a key file.
pub(super) fn read(path: &Path) -> Result<Key, SecretError> {
    let wrong = |why: String, fix: String| SecretError::KeyFile { path: path.to_owned(), why, fix };
    let unreadable = |source: io::Error| {
        wrong(
            format!("it cannot be read ({source})"),
            format!("make it readable for the service user: chown danube {0} && chmod 0600 {0}", path.display()),
        )
    };
    let restore = "restore it from a backup; without it the stored secrets are lost and must be set again".to_owned();
    let meta = fs::symlink_metadata(path).map_err(unreadable)?;
    if !meta.is_file() {
        return Err(wrong("it is not a plain file".to_owned(), restore));
    }
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(wrong(
            format!("others may read or write it (mode {mode:04o})"),
            format!(
                "run chmod 0600 {} and, if somebody else may have read it, `danube secret rotate-key`",
                path.display()
            ),
        ));
    }
    if meta.len() != KEY_BYTES as u64 {
        return Err(wrong(format!("it has {} bytes, not {KEY_BYTES}", meta.len()), restore));
    }
    let bytes = Zeroizing::new(fs::read(path).map_err(unreadable)?);
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    if bytes.len() != KEY_BYTES {
        return Err(wrong(format!("it has {} bytes, not {KEY_BYTES}", bytes.len()), restore));
    }
    key.copy_from_slice(&bytes);
    Ok(Key::new(&key))
}

/// Makes a new key and stores it durably.
pub(super) fn make(path: &Path, ids: &dyn Ids) -> Result<Key, SecretError> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    ids.fill(bytes.as_mut());
    let stored = make_dir(path).and_then(|()| atomic::write("secrets.key_file", path, bytes.as_ref(), 0o600));
    stored.map_err(|source| SecretError::KeyFile {
        path: path.to_owned(),
        why: format!("it cannot be written ({source})"),
        fix: "give the service user a writable data directory with free space".to_owned(),
    })?;
    Ok(Key::new(&bytes))
}

fn make_dir(path: &Path) -> io::Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    dir.parent().map_or(Ok(()), atomic::sync_dir)
}
