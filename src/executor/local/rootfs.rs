//! The root of a container on the pseudo-image `host`: a private skeleton; /usr is mounted into it.
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::uids::Range;
use crate::executor::StepKind;

/// Names of /etc that a program may need and that hold nothing private.
pub(super) const ETC: [&str; 13] = [
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "mime.types",
    "nsswitch.conf",
    "protocols",
    "python3",
    "python3.11",
    "services",
    "ssl/certs",
];

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1000:build:/home/build:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
const GROUP: &str = "root:x:0:\nbuild:x:1000:\nnogroup:x:65534:\n";
const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n";

/// By this file programs know that they are in a container, as in one of Podman's: builders of images run in no other
/// place. What the kernel shows of mounts does not tell them, for it lists a step's files before its root.
const SIGN: &str = "run/.containerenv";

/// Where mounts that every container has go; made beforehand, so that none is made for each.
const PLACES: [(&str, u32); 4] = [("proc", 0o555), ("dev", 0o755), ("danube", 0o755), ("danube/files", 0o711)];
/// The same for a danubefile's.
const OF_COORDINATORS: [&str; 4] = ["danube/source", "danube/sdk", "danube/run", "danube/cache"];

/// Makes the root of the pseudo-image at `dir`, owned by these users.
pub(super) fn make(dir: &Path, users: Range, kind: StepKind) -> io::Result<()> {
    let own = |path: &Path, uid: u32| lchown(path, Some(users.host(uid)), Some(users.host(uid)));
    places(dir, users, kind)?;
    for (name, mode, uid) in [
        ("usr", 0o755, 0),
        ("root", 0o700, 0),
        ("home", 0o755, 0),
        ("home/build", 0o755, 1000),
        ("var", 0o755, 0),
        ("var/tmp", 0o1777, 0),
        ("var/lib", 0o755, 0),
    ] {
        folder(&dir.join(name), mode, users, uid)?;
    }
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        // Distributions whose /bin is a directory of its own are not supported by `host`.
        if let Ok(target) = fs::read_link(Path::new("/").join(name)) {
            let path = dir.join(name);
            symlink(target, &path)?;
            own(&path, 0)?;
        }
    }
    for (name, text) in [("passwd", PASSWD), ("group", GROUP)] {
        file(&dir.join("etc").join(name), text, users)?;
    }
    for name in ETC {
        let (path, place) = (Path::new("/etc").join(name), dir.join("etc").join(name));
        let Ok(found) = fs::metadata(&path) else { continue };
        if let Some(parent) = place.parent().filter(|parent| !parent.exists()) {
            folder(parent, 0o755, users, 0)?;
        }
        if found.is_dir() { folder(&place, 0o755, users, 0)? } else { file(&place, "", users)? }
    }
    Ok(())
}

/// Makes what lies above the layers of an image: the places of mounts, whatever the image has there.
pub(super) fn places(dir: &Path, users: Range, kind: StepKind) -> io::Result<()> {
    folder(dir, 0o755, users, 0)?;
    for (name, mode) in PLACES {
        folder(&dir.join(name), mode, users, 0)?;
    }
    for (name, mode) in [("etc", 0o755), ("run", 0o755), ("tmp", 0o1777)] {
        folder(&dir.join(name), mode, users, 0)?;
    }
    match kind {
        StepKind::Service => {}
        StepKind::Step => folder(&dir.join("workspace"), 0o755, users, 0)?,
        StepKind::Coordinator => {
            for name in OF_COORDINATORS.iter().chain(&["workspace"]) {
                folder(&dir.join(name), 0o755, users, 0)?;
            }
        }
    }
    for name in ["danube/init", "danube/sh", SIGN] {
        file(&dir.join(name), "", users)?;
    }
    file(&dir.join("etc/hosts"), HOSTS, users)?;
    file(&dir.join("etc/resolv.conf"), "", users)
}

fn folder(path: &Path, mode: u32, users: Range, uid: u32) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    lchown(path, Some(users.host(uid)), Some(users.host(uid)))
}

fn file(path: &Path, text: &str, users: Range) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))?;
    lchown(path, Some(users.host(0)), Some(users.host(0)))
}

/// Everything on which the root of the pseudo-image depends, as a name for it.
pub(super) fn fingerprint() -> String {
    let mut hash = Sha256::new();
    hash.update(env!("CARGO_PKG_VERSION"));
    for part in [PASSWD, GROUP, HOSTS, SIGN].into_iter().chain(OF_COORDINATORS).chain(PLACES.map(|(name, _)| name)) {
        hash.update(part);
    }
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        hash.update(format!("{name}:{:?};", fs::read_link(Path::new("/").join(name)).ok()));
    }
    for name in ETC {
        hash.update(format!("{name}:{:?};", fs::metadata(Path::new("/etc").join(name)).ok().map(|meta| meta.is_dir())));
    }
    hex::encode(&hash.finalize()[..8])
}
