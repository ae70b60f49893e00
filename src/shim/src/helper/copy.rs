//! A second copy of a checkout, for the coordinator.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::Problem;

/// Copies files, directories and links, as links; `.git` at the top stays behind.
///
/// No other process of the job lives while a checkout runs, so plain paths do.
pub(super) fn copy_tree(from: &Path, to: &Path) -> Result<(), Problem> {
    let mut folders = vec![from.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |error: io::Error| format!("cannot copy {}: {error}", folder.display());
        let inner = folder.strip_prefix(from).unwrap_or(&folder);
        let target = to.join(inner);
        match fs::create_dir(&target) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if folder == from && entry.file_name() == OsStr::new(".git") {
                continue;
            }
            let (path, target) = (entry.path(), target.join(entry.file_name()));
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_symlink() {
                symlink(fs::read_link(&path).map_err(failed)?, target).map_err(failed)?;
            } else {
                fs::copy(&path, target).map_err(failed)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn everything_but_the_repository_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join(".git")).unwrap();
        fs::create_dir_all(from.join("a/.git")).unwrap();
        fs::write(from.join("a/run"), "x").unwrap();
        fs::set_permissions(from.join("a/run"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("/etc/passwd", from.join("link")).unwrap();
        copy_tree(&from, &to).unwrap();
        assert!(!to.join(".git").exists() && to.join("a/.git").exists());
        let mode = fs::metadata(to.join("a/run")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("/etc/passwd"));
    }
}
