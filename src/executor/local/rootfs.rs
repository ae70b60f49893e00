//! The root of a container on the pseudo-image `host`: a private skeleton; /usr is mounted into it.
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;

use super::uids::Range;

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

/// Makes the skeleton at `dir`, owned by the container's users.
pub(super) fn make(dir: &Path, users: Range) -> io::Result<()> {
    let own = |path: &Path, uid: u32| lchown(path, Some(users.host(uid)), Some(users.host(uid)));
    fs::create_dir(dir)?;
    own(dir, 0)?;
    for (name, mode, uid) in [
        ("usr", 0o755, 0),
        ("proc", 0o555, 0),
        ("dev", 0o755, 0),
        ("etc", 0o755, 0),
        ("root", 0o700, 0),
        ("home", 0o755, 0),
        ("home/build", 0o755, 1000),
        ("run", 0o755, 0),
        ("var", 0o755, 0),
        ("var/tmp", 0o1777, 0),
        ("var/lib", 0o755, 0),
        ("tmp", 0o1777, 0),
        ("danube", 0o755, 0),
        ("workspace", 0o755, 0),
    ] {
        let path = dir.join(name);
        fs::create_dir(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        own(&path, uid)?;
    }
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        // Distributions whose /bin is a directory of its own are not supported by `host`.
        if let Ok(target) = fs::read_link(Path::new("/").join(name)) {
            let path = dir.join(name);
            symlink(target, &path)?;
            own(&path, 0)?;
        }
    }
    for (name, text) in [("passwd", PASSWD), ("group", GROUP), ("hosts", HOSTS), ("resolv.conf", "")] {
        let path = dir.join("etc").join(name);
        fs::write(&path, text)?;
        own(&path, 0)?;
    }
    Ok(())
}
