//! The files of a step: contents in memory, links where the command expects them.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown, fchown, symlink};
use std::path::{Path, PathBuf};

use danube_shim::start::{ContainerStart, StartFile};
use danube_shim::sys;

/// The tmpfs of a container that holds the contents.
const FOLDER: &str = "/danube/files";

/// Writes every file and puts its link in place.
pub(super) fn place(start: &ContainerStart) -> Result<(), String> {
    place_in(Path::new(FOLDER), start)
}

fn place_in(folder: &Path, start: &ContainerStart) -> Result<(), String> {
    for (n, file) in start.files.iter().enumerate() {
        let content = folder.join(n.to_string());
        let path = start.workdir.join(&file.path);
        place_one(&content, &path, file, start)
            .map_err(|error| format!("cannot provide the file {}: {error}", path.display()))?;
    }
    Ok(())
}

fn place_one(content: &Path, path: &Path, file: &StartFile, start: &ContainerStart) -> io::Result<()> {
    let owner = other_owner(start);
    let mut options = OpenOptions::new();
    let mut inner = options.write(true).create_new(true).mode(0o600).open(content)?;
    inner.write_all(&file.content)?;
    if let Some((uid, gid)) = owner {
        fchown(&inner, uid, gid)?;
    }
    for parent in missing_parents(path) {
        DirBuilder::new().mode(0o755).create(&parent)?;
        if let Some((uid, gid)) = owner {
            chown(&parent, uid, gid)?;
        }
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => fs::remove_file(path)?,
        Ok(_) => {
            return Err(io::Error::other("there is something else at this path; choose another path or remove it"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    symlink(content, path)
}

/// Whom the files go to, when that is not who makes them.
fn other_owner(start: &ContainerStart) -> Option<(Option<u32>, Option<u32>)> {
    let other = start.uid.filter(|uid| *uid != sys::effective_uid());
    (other.is_some() || start.gid.is_some_and(|gid| gid != 0)).then_some((other, start.gid))
}

fn missing_parents(path: &Path) -> Vec<PathBuf> {
    let mut missing: Vec<PathBuf> = path
        .ancestors()
        .skip(1)
        .filter(|parent| *parent != OsStr::new(""))
        .take_while(|parent| !fs::exists(parent).unwrap_or(true))
        .map(Path::to_owned)
        .collect();
    missing.reverse();
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn start(workdir: &Path, path: &str) -> ContainerStart {
        ContainerStart {
            argv: vec!["true".into()],
            env: Vec::new(),
            files: vec![StartFile { path: path.into(), content: b"hunter22".to_vec() }],
            workdir: workdir.to_owned(),
            uid: None,
            gid: None,
            ready: None,
            user: None,
            trust: None,
            roots: None,
        }
    }

    fn folders() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (folder, workdir) = (dir.path().join("files"), dir.path().join("work"));
        fs::create_dir(&folder).unwrap();
        fs::create_dir(&workdir).unwrap();
        (dir, folder, workdir)
    }

    #[test]
    fn a_file_is_a_link_to_its_content_for_its_owner_alone() {
        let (_dir, folder, workdir) = folders();
        place_in(&folder, &start(&workdir, ".config/tool/token")).unwrap();
        let path = workdir.join(".config/tool/token");
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"hunter22");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_link_of_the_step_before_is_replaced() {
        let (_dir, folder, workdir) = folders();
        symlink("/danube/files/gone", workdir.join("token")).unwrap();
        place_in(&folder, &start(&workdir, "token")).unwrap();
        assert_eq!(fs::read(workdir.join("token")).unwrap(), b"hunter22");
    }

    #[test]
    fn a_file_of_the_repository_is_not_replaced_and_named() {
        let (_dir, folder, workdir) = folders();
        fs::write(workdir.join("token"), "mine").unwrap();
        let error = place_in(&folder, &start(&workdir, "token")).unwrap_err();
        assert!(error.contains("work/token"), "{error}");
        assert_eq!(fs::read(workdir.join("token")).unwrap(), b"mine");
    }
}
