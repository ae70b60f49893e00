//! Mounts that are made from descriptors: copies of directories with other owners, and file systems on them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use libc::{c_int, c_long, c_uint, c_ulong};

use super::{c_string, check};

// The numbers are the same on every architecture that Linux got these calls for at once.
const SYS_OPEN_TREE: c_long = 428;
const SYS_MOVE_MOUNT: c_long = 429;
const SYS_MOUNT_SETATTR: c_long = 442;

const OPEN_TREE_CLONE: c_uint = 1;
const MOVE_MOUNT_F_EMPTY_PATH: c_uint = 4;
const MOUNT_ATTR_RDONLY: u64 = 0x1;
const MOUNT_ATTR_NODEV: u64 = 0x4;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// A read-only mount of a directory that is in no tree yet; with `users`, its files belong to whom that namespace
/// maps their owners to.
pub fn clone_tree(dir: &Path, users: Option<&File>) -> io::Result<OwnedFd> {
    let path = c_string(dir.as_os_str())?;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as c_uint;
    // SAFETY: a C string and flags; the descriptor is new and ours.
    let tree = unsafe {
        let fd = libc::syscall(SYS_OPEN_TREE, libc::AT_FDCWD, path.as_ptr(), flags);
        OwnedFd::from_raw_fd(check(fd as c_int)?)
    };
    let mut attr = MountAttr { set: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, clear: 0, propagation: 0, userns: 0 };
    if let Some(users) = users {
        attr.set |= MOUNT_ATTR_IDMAP;
        attr.userns = u64::try_from(users.as_raw_fd()).map_err(|_| io::ErrorKind::InvalidInput)?;
    }
    // SAFETY: both descriptors are open for the call, the struct is as long as it says.
    unsafe {
        let done = libc::syscall(
            SYS_MOUNT_SETATTR,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attr,
            size_of::<MountAttr>(),
        );
        check(done as c_int)?;
    }
    Ok(tree)
}

/// Puts a mount that is in no tree at a path.
pub fn attach(tree: &impl AsFd, at: &Path) -> io::Result<()> {
    let path = c_string(at.as_os_str())?;
    // SAFETY: an open descriptor, C strings and flags.
    let done = unsafe {
        libc::syscall(
            SYS_MOVE_MOUNT,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            path.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    check(done as c_int).map(drop)
}

/// Mounts a file system without device files at a path.
pub fn mount_kind(kind: &str, at: &Path, options: &str) -> io::Result<()> {
    let (kind, at, options) = (c_string(kind.as_ref())?, c_string(at.as_os_str())?, c_string(options.as_ref())?);
    let flags: c_ulong = libc::MS_NODEV;
    // SAFETY: C strings and flags; the kernel copies the options.
    check(unsafe { libc::mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast()) }).map(drop)
}

/// Takes the mount at a path away, with all that is mounted below it.
pub fn unmount_at(path: &Path) -> io::Result<()> {
    let path = c_string(path.as_os_str())?;
    super::unmount(&path)
}
