//! The root of a container that is put together from shared layers and a place for its own changes.
//!
//! It is mounted in the mount namespace of the process that asks for it, so it goes with that process and the
//! container: a kill leaves no mount on the machine.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sys;

/// The most layers that are put together: their names must fit into one page.
pub const MOST_LAYERS: usize = 256;

/// What a root is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// The layers, the uppermost first; absolute.
    pub layers: Vec<PathBuf>,
    /// An empty directory in which the layers are mounted meanwhile.
    pub below: PathBuf,
    /// Where changes go.
    pub upper: PathBuf,
    /// An empty directory beside `upper`, for the kernel.
    pub work: PathBuf,
    /// Where the root appears.
    pub root: PathBuf,
    /// The files of the layers belong to other users than those of the container: a user namespace says to whom.
    pub mapped: bool,
    /// Directories that are made in the root where it lacks them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
}

/// A directory in a root, above what will be mounted there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Absolute in the root, without `.` and `..`.
    pub path: PathBuf,
    /// The user and group of the host to whom goes what had to be made of it.
    pub uid: u32,
    /// See `uid`.
    pub gid: u32,
}

impl Place {
    /// Makes what is missing of it below `root`. What a link of the image leads to stays as it is: the runtime makes
    /// what it needs there.
    pub fn make(&self, root: &Path) -> io::Result<()> {
        let mut dir = sys::open_dir(root)?;
        for name in self.path.strip_prefix("/").unwrap_or(&self.path) {
            match sys::mkdir_at(&dir, name, 0o755) {
                Ok(()) => sys::chown_at(&dir, name, self.uid, self.gid)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            let Ok(next) = sys::open_beneath(&dir, name, libc::O_PATH | libc::O_DIRECTORY) else { return Ok(()) };
            dir = next;
        }
        Ok(())
    }
}

/// Mounts the root. This process must be in a mount namespace of its own, and its working directory changes.
pub fn mount(overlay: &Overlay, users: Option<&File>) -> io::Result<()> {
    if overlay.layers.is_empty() || overlay.layers.len() > MOST_LAYERS {
        return Err(io::Error::other(format!("{} layers: there can be 1 to {MOST_LAYERS}", overlay.layers.len())));
    }
    let at = |what: &str, path: &Path| {
        let text = format!("{what} {}", path.display());
        move |error: io::Error| io::Error::new(error.kind(), format!("cannot {text}: {error}"))
    };
    sys::mount_kind("tmpfs", &overlay.below, "size=1m,mode=755").map_err(at("mount over", &overlay.below))?;
    let mut lower = Vec::with_capacity(overlay.layers.len());
    for (n, layer) in overlay.layers.iter().enumerate() {
        let tree = sys::clone_tree(layer, users).map_err(at("take the layer", layer))?;
        let place = overlay.below.join(n.to_string());
        fs::create_dir(&place).map_err(at("make", &place))?;
        sys::attach(&tree, &place).map_err(at("mount a layer at", &place))?;
        lower.push(n.to_string());
    }
    std::env::set_current_dir(&overlay.below).map_err(at("change to", &overlay.below))?;
    let result = options(&lower.join(":"), &overlay.upper, &overlay.work)
        .and_then(|options| sys::mount_kind("overlay", &overlay.root, &options))
        .map_err(at("mount the layers at", &overlay.root));
    std::env::set_current_dir("/")?;
    // The kernel holds the layers by mounts of its own now.
    sys::unmount_at(&overlay.below).map_err(at("unmount", &overlay.below))?;
    result?;
    overlay.places.iter().try_for_each(|place| place.make(&overlay.root).map_err(at("make", &place.path)))
}

/// Nothing of the changes outlives the container: nothing of them needs to reach the disk.
fn options(lower: &str, upper: &Path, work: &Path) -> io::Result<String> {
    let text = |path: &Path| match path.to_str() {
        Some(text) if !text.contains([',', '\\', ':']) => Ok(text.to_owned()),
        _ => Err(io::Error::other(format!("a path with ',', ':' or '\\': {}", path.display()))),
    };
    Ok(format!("lowerdir={lower},upperdir={},workdir={},userxattr,volatile", text(upper)?, text(work)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_of_a_root_is_pinned() {
        let golden =
            r#"{"layers":["/i/a/fs"],"below":"/b/l","upper":"/b/u","work":"/b/w","root":"/b/rootfs","mapped":true}"#;
        let overlay: Overlay = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_string(&overlay).unwrap(), golden);
    }

    #[test]
    fn a_place_is_made_as_far_as_it_is_missing_and_no_link_is_followed() {
        use std::os::unix::fs::{MetadataExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        fs::create_dir_all(root.join("home")).unwrap();
        fs::create_dir(&outside).unwrap();
        let own = fs::metadata(&root).unwrap();
        let make = |path: &str| Place { path: path.into(), uid: own.uid(), gid: own.gid() }.make(&root).unwrap();
        make("/home/build/.cache");
        make("/home/build/.cache");
        assert!(root.join("home/build/.cache").is_dir());
        symlink(&outside, root.join("link")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        make("/link/below/it");
        make("/file/below/it");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn a_path_is_one_option() {
        assert!(
            options("0:1", Path::new("/a/u"), Path::new("/a/w")).unwrap().starts_with("lowerdir=0:1,upperdir=/a/u,")
        );
        assert!(options("0", Path::new("/a,x=y"), Path::new("/a/w")).is_err());
    }
}
