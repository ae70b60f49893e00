use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::{KeyError, PublicKey, SigningKey};
use crate::platform::atomic;

const SHORTEST: u64 = 100;
const LONGEST: u64 = 4096;

/// Loads the signing key; a file that anybody but its owner may touch is refused.
pub fn load(path: &Path) -> Result<SigningKey, KeyError> {
    let pem = read(path, Access::OwnerOnly)?;
    SigningKey::from_pem(&pem).map_err(|source| KeyError::Content { path: path.to_owned(), source })
}

/// Loads a public key.
pub fn load_public(path: &Path) -> Result<PublicKey, KeyError> {
    let pem = read(path, Access::Anybody)?;
    PublicKey::from_pem(&pem).map_err(|source| KeyError::Content { path: path.to_owned(), source })
}

/// Loads `signing.key` of a directory, or makes it and `signing.key.pub` from the seed at first start.
///
/// A key whose public half is there alone was lost: no new one takes its place silently.
pub fn load_or_create(dir: &Path, seed: &[u8; 32]) -> Result<SigningKey, KeyError> {
    let path = dir.join("signing.key");
    let public = dir.join("signing.key.pub");
    let key = if exists(&path)? {
        load(&path)?
    } else if exists(&public)? {
        return Err(KeyError::Lost { path });
    } else {
        let key = SigningKey::from_seed(seed);
        write("provenance.key", &path, 0o600, key.to_pem().as_bytes())?;
        key
    };
    if !exists(&public)? {
        write("provenance.public_key", &public, 0o644, key.public().to_pem().as_bytes())?;
    } else if load_public(&public)? != *key.public() {
        return Err(KeyError::Mismatch { path });
    }
    Ok(key)
}

#[derive(PartialEq, Eq)]
enum Access {
    OwnerOnly,
    Anybody,
}

fn read(path: &Path, access: Access) -> Result<Zeroizing<String>, KeyError> {
    // Not blocking: a pipe in place of the key must not hang the start.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(io_error("open", path))?;
    let metadata = file.metadata().map_err(io_error("inspect", path))?;
    if !metadata.is_file() {
        return Err(KeyError::NotAFile { path: path.to_owned() });
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if access == Access::OwnerOnly && mode != 0o600 {
        return Err(KeyError::WrongMode { path: path.to_owned(), mode });
    }
    let size = metadata.len();
    if !(SHORTEST..=LONGEST).contains(&size) {
        return Err(KeyError::WrongSize { path: path.to_owned(), size });
    }
    let mut pem = Zeroizing::new(String::with_capacity(LONGEST as usize));
    file.take(LONGEST).read_to_string(&mut pem).map_err(io_error("read", path))?;
    Ok(pem)
}

fn write(point: &'static str, path: &Path, mode: u32, bytes: &[u8]) -> Result<(), KeyError> {
    atomic::write(point, path, bytes, mode).map_err(io_error("write", path))
}

fn exists(path: &Path) -> Result<bool, KeyError> {
    path.try_exists().map_err(io_error("look for", path))
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    move |source| KeyError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn made() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        load_or_create(dir.path(), &[7; 32]).unwrap();
        let path = dir.path().join("signing.key");
        (dir, path)
    }

    #[test]
    fn the_first_start_makes_the_pair_and_later_ones_load_it() {
        let (dir, path) = made();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let again = load_or_create(dir.path(), &[8; 32]).unwrap();
        assert_eq!(again.public(), SigningKey::from_seed(&[7; 32]).public());
        assert_eq!(&load_public(&dir.path().join("signing.key.pub")).unwrap(), again.public());
    }

    #[test]
    fn a_key_with_any_other_mode_is_refused_with_the_remedy() {
        let (_dir, path) = made();
        for mode in [0o640, 0o604, 0o660, 0o644, 0o700, 0o620, 0o4600] {
            chmod(&path, mode);
            let message = load(&path).unwrap_err().to_string();
            assert!(message.contains(&format!("{mode:04o}")), "{message}");
            assert!(message.contains(&format!("chmod 600 {}", path.display())), "{message}");
        }
        chmod(&path, 0o600);
        load(&path).unwrap();
    }

    #[test]
    fn damaged_and_foreign_files_are_refused_by_name() {
        let (dir, path) = made();
        let whole = fs::read(&path).unwrap();
        let garbage = [b'x'; 200];
        for (bytes, reason) in [
            (&b""[..], "too short"),
            (&whole[..90], "too short"),
            (&[b'x'; 5000], "too long"),
            (&garbage, "cannot be used"),
        ] {
            fs::write(&path, bytes).unwrap();
            let message = load(&path).unwrap_err().to_string();
            assert!(message.contains(reason) && message.contains("signing.key"), "{message}");
        }
        assert!(matches!(load(dir.path()), Err(KeyError::NotAFile { .. })));
        assert!(matches!(load(&dir.path().join("none")), Err(KeyError::Io { .. })));
    }

    #[test]
    fn a_pipe_in_place_of_the_key_does_not_hang() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("signing.key");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(matches!(load(&path), Err(KeyError::NotAFile { .. })));
    }

    #[test]
    fn a_lost_key_is_not_replaced() {
        let (dir, path) = made();
        fs::remove_file(&path).unwrap();
        assert!(matches!(load_or_create(dir.path(), &[8; 32]), Err(KeyError::Lost { .. })));
        assert!(!path.exists());
    }

    #[test]
    fn halves_that_do_not_belong_together_are_refused() {
        let (dir, path) = made();
        let other = SigningKey::from_seed(&[8; 32]);
        fs::write(&path, other.to_pem().as_bytes()).unwrap();
        assert!(matches!(load_or_create(dir.path(), &[7; 32]), Err(KeyError::Mismatch { .. })));
    }

    #[test]
    fn a_start_that_was_killed_between_the_halves_is_completed() {
        let (dir, path) = made();
        fs::remove_file(dir.path().join("signing.key.pub")).unwrap();
        fs::write(dir.path().join(".signing.key.pub.tmp"), "half").unwrap();
        let key = load_or_create(dir.path(), &[8; 32]).unwrap();
        assert_eq!(key.public(), load(&path).unwrap().public());
        assert_eq!(&load_public(&dir.path().join("signing.key.pub")).unwrap(), key.public());
    }
}
