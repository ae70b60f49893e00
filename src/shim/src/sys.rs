//! Linux calls that the standard library does not have, behind safe functions.
//!
//! With the files below it, the only code of this crate with `unsafe`. Every function is for a process with one thread.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use libc::{c_char, c_int, c_uint, c_ulong};

mod mounts;
mod process;

pub use mounts::*;
pub use process::*;

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Takes over a descriptor that was inherited under a known number and closes it on exec.
pub fn inherited(fd: RawFd) -> io::Result<File> {
    // SAFETY: fcntl tells whether the number is open; the caller takes each number once.
    unsafe {
        check(libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC))?;
        Ok(File::from_raw_fd(fd))
    }
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: RawFd) -> io::Result<()> {
    let first = c_uint::try_from(first).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: called before anything of this process owns a descriptor in that range.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, c_uint::MAX, 0) };
    check(result as c_int).map(drop)
}

/// Makes `number` a copy of `file` that survives exec, whatever it was before.
pub fn place(file: &File, number: RawFd) -> io::Result<()> {
    // SAFETY: dup2 replaces the number in one step; callers reserve it beforehand.
    check(unsafe { libc::dup2(file.as_raw_fd(), number) }).map(drop)
}

/// Sets whether calls on this descriptor may wait.
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: plain flag calls on a descriptor that is open.
    unsafe {
        let flags = check(libc::fcntl(fd.as_raw_fd(), libc::F_GETFL))?;
        check(libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK))?;
    }
    Ok(())
}

/// A file without a name that nobody can change any more, at its beginning.
pub fn sealed_memory(content: &[u8]) -> io::Result<File> {
    use std::io::{Seek, Write};
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a C string; the descriptor is new and ours.
    let mut file = unsafe { File::from_raw_fd(check(libc::memfd_create(c"danube-start".as_ptr(), flags))?) };
    file.write_all(content)?;
    file.rewind()?;
    let seals = libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL;
    // SAFETY: fcntl with an integer argument.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) })?;
    Ok(file)
}

/// Ends this process at once, as a kill by somebody else would.
pub fn kill_self() -> ! {
    // SAFETY: integers only; the second call is for a process whose filter refuses the first.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGKILL);
        libc::_exit(137)
    }
}

/// Leaves the session of the caller; not an error when this process leads one already.
pub fn new_session() {
    // SAFETY: no arguments.
    unsafe { libc::setsid() };
}

fn prctl(option: c_int, value: c_ulong) -> io::Result<()> {
    let zero: c_ulong = 0;
    // SAFETY: the options used here take integers only.
    check(unsafe { libc::prctl(option, value, zero, zero, zero) }).map(drop)
}

/// Orphans among the descendants become children of this process.
pub fn become_subreaper() -> io::Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1)
}

/// Nobody of the same user may read this process's memory or descriptors.
pub fn become_undumpable() -> io::Result<()> {
    prctl(libc::PR_SET_DUMPABLE, 0)
}

/// No exec gains privileges any more.
pub fn no_new_privileges() -> io::Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
}

/// Refuses calls for good; needs [`no_new_privileges`] first.
pub fn set_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let (mode, zero) = (c_ulong::from(libc::SECCOMP_MODE_FILTER), 0 as c_ulong);
    // SAFETY: the kernel copies the program, whose length is told, and writes nothing to it.
    check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program, zero, zero) }).map(drop)
}

/// Mounts of this process no longer reach the host; those of the host still arrive.
pub fn private_mounts() -> io::Result<()> {
    // SAFETY: flags and C strings only.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS))?;
        let flags = libc::MS_REC | libc::MS_SLAVE;
        check(libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), flags, ptr::null()))?;
    }
    Ok(())
}

/// Takes a mount away, also while it is in use.
pub fn unmount(path: &CStr) -> io::Result<()> {
    // SAFETY: a C string and a flag.
    check(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

/// Gives up every group but `gid`, every id but `uid`.
pub fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: integers and an empty list.
    unsafe {
        check(libc::setgroups(0, ptr::null()))?;
        check(libc::setresgid(gid, gid, gid))?;
        check(libc::setresuid(uid, uid, uid))?;
    }
    Ok(())
}

/// Becomes a group and these further ones alone, as a container's first process does for its child.
pub fn become_group(gid: u32, further: &[u32]) -> io::Result<()> {
    // SAFETY: integers and a list as long as it says.
    unsafe {
        check(libc::setgroups(further.len(), further.as_ptr()))?;
        check(libc::setresgid(gid, gid, gid))?;
    }
    Ok(())
}

/// Becomes a user alone.
pub fn become_uid(uid: u32) -> io::Result<()> {
    // SAFETY: integers.
    check(unsafe { libc::setresuid(uid, uid, uid) }).map(drop)
}

/// The user this process acts as.
pub fn effective_uid() -> u32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::geteuid() }
}

/// Empties the bounding set, as far as this process may.
pub fn drop_bounding_set() {
    for capability in 0..64 {
        if prctl(libc::PR_CAPBSET_DROP, capability).is_err() {
            break;
        }
    }
}

/// Gives up every capability.
pub fn drop_capabilities() -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    let sets: [u32; 6] = [0; 6];
    // SAFETY: both arrays have the layout of version 3 and outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    check(result as c_int).map(drop)
}

/// Free and all bytes of the file system that holds `file`.
pub fn room(file: &File) -> io::Result<(u64, u64)> {
    let mut stat = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the descriptor is open for the call, which fills the struct when it succeeds.
    let stat = unsafe {
        if libc::fstatvfs(file.as_raw_fd(), stat.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        stat.assume_init()
    };
    #[expect(clippy::useless_conversion, reason = "the fields are narrower on 32-bit targets")]
    let (free, all, unit) = (u64::from(stat.f_bavail), u64::from(stat.f_blocks), u64::from(stat.f_frsize));
    Ok((free.saturating_mul(unit), all.saturating_mul(unit)))
}

/// Begins to write a stretch of a file out to its disk, without waiting for the end of that. A hint: it makes nothing
/// durable, and a file system that cannot do it is no failure.
pub fn begin_writing_out(file: &File, from: u64, to: u64) {
    let (Ok(offset), Ok(length)) = (i64::try_from(from), i64::try_from(to.saturating_sub(from))) else {
        return;
    };
    // SAFETY: integers and an open descriptor.
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
}

/// The wall clock in nanoseconds since 1970.
pub fn realtime_ns() -> i64 {
    let mut now = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the clock exists on every Linux, so the call fills the struct.
    let now = unsafe {
        libc::clock_gettime(libc::CLOCK_REALTIME, now.as_mut_ptr());
        now.assume_init()
    };
    #[expect(clippy::useless_conversion, reason = "the fields are narrower on 32-bit targets")]
    (i64::from(now.tv_sec) * 1_000_000_000 + i64::from(now.tv_nsec))
}

/// Waits until one of the descriptors is readable or ended, or the time is over; a signal counts
/// as "nothing yet". Gives one answer per descriptor.
pub fn readable(fds: &[BorrowedFd<'_>], timeout_ms: i32) -> io::Result<Vec<bool>> {
    let mut polled: Vec<libc::pollfd> =
        fds.iter().map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }).collect();
    // SAFETY: the array is as long as it says.
    let result = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as _, timeout_ms) };
    match check(result) {
        Ok(_) => Ok(polled.iter().map(|one| one.revents != 0).collect()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(vec![false; fds.len()]),
        Err(error) => Err(error),
    }
}

/// Sets which permissions new files do not get.
pub fn set_umask(mask: u32) {
    // SAFETY: an integer, cannot fail.
    unsafe { libc::umask(mask as libc::mode_t) };
}

/// Becomes another program with exactly this environment; returns only when that failed.
pub fn execute(program: &OsStr, argv: &[String], env: &[(String, String)]) -> io::Error {
    let strings =
        |texts: Vec<String>| -> io::Result<Vec<CString>> { texts.iter().map(|text| c_string(text.as_ref())).collect() };
    let pointers = |strings: &[CString]| -> Vec<*const c_char> {
        strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect()
    };
    let prepared = (|| {
        let env = env.iter().map(|(key, value)| format!("{key}={value}"));
        Ok((c_string(program)?, strings(argv.to_vec())?, strings(env.collect())?))
    })();
    match prepared {
        Ok((program, argv, env)) => {
            let (argv_list, env_list) = (pointers(&argv), pointers(&env));
            // SAFETY: both lists end with null and point into strings that live until here.
            unsafe { libc::execve(program.as_ptr(), argv_list.as_ptr(), env_list.as_ptr()) };
            io::Error::last_os_error()
        }
        Err(error) => error,
    }
}

/// Opens a name in an open directory, never through a link at its end.
pub fn open_at(dir: &impl AsFd, name: &OsStr, flags: c_int, mode: u32) -> io::Result<File> {
    let name = c_string(name)?;
    let flags = flags | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    // SAFETY: a C string and integers; the descriptor is new and ours.
    unsafe {
        let fd = libc::openat(dir.as_fd().as_raw_fd(), name.as_ptr(), flags, mode);
        Ok(File::from_raw_fd(check(fd)?))
    }
}

/// Whether [`open_beneath`] follows links: never, but in a test of what that protects from.
static FOLLOW: AtomicBool = AtomicBool::new(false);

/// From here on [`open_beneath`] follows links wherever they lead. For a test that shows what it is good for.
pub fn follow_links() {
    FOLLOW.store(true, Ordering::Relaxed);
}

/// Opens a path beneath an open directory: no way up, no link, no magic on it.
pub fn open_beneath(dir: &impl AsFd, path: &OsStr, flags: c_int) -> io::Result<File> {
    let path = c_string(path)?;
    // SAFETY: open_how is a struct of integers, for which zero is valid.
    let mut how: libc::open_how = unsafe { MaybeUninit::zeroed().assume_init() };
    how.flags = (flags | libc::O_CLOEXEC | libc::O_NOFOLLOW) as u64;
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;
    if FOLLOW.load(Ordering::Relaxed) {
        how.flags = (flags | libc::O_CLOEXEC) as u64;
        how.resolve = 0;
    }
    // SAFETY: the struct's size is told; the descriptor is new and ours.
    unsafe {
        let fd = libc::syscall(
            libc::SYS_openat2,
            dir.as_fd().as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        );
        Ok(File::from_raw_fd(check(fd as c_int)?))
    }
}

/// Renames within one open directory, replacing what has the new name.
pub fn rename_at(dir: &impl AsFd, from: &OsStr, to: &OsStr) -> io::Result<()> {
    let (from, to) = (c_string(from)?, c_string(to)?);
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: C strings and an open directory.
    check(unsafe { libc::renameat(dir, from.as_ptr(), dir, to.as_ptr()) }).map(drop)
}

/// Removes a name that is no directory.
pub fn unlink_at(dir: &impl AsFd, name: &OsStr) -> io::Result<()> {
    let name = c_string(name)?;
    // SAFETY: a C string and an open directory.
    check(unsafe { libc::unlinkat(dir.as_fd().as_raw_fd(), name.as_ptr(), 0) }).map(drop)
}

/// Makes a directory.
pub fn mkdir_at(dir: &impl AsFd, name: &OsStr, mode: u32) -> io::Result<()> {
    let name = c_string(name)?;
    let mode = mode as libc::mode_t;
    // SAFETY: a C string and an open directory.
    check(unsafe { libc::mkdirat(dir.as_fd().as_raw_fd(), name.as_ptr(), mode) }).map(drop)
}

/// Makes a symbolic link.
pub fn symlink_at(target: &OsStr, dir: &impl AsFd, name: &OsStr) -> io::Result<()> {
    let (target, name) = (c_string(target)?, c_string(name)?);
    let dir = dir.as_fd().as_raw_fd();
    // SAFETY: C strings and an open directory.
    check(unsafe { libc::symlinkat(target.as_ptr(), dir, name.as_ptr()) }).map(drop)
}

/// Where a symbolic link leads; the link is opened with `O_PATH`.
pub fn read_link(link: &File) -> io::Result<OsString> {
    let mut target = vec![0u8; libc::PATH_MAX as usize];
    let buffer = target.as_mut_ptr().cast();
    // SAFETY: the buffer is as long as it says; an empty name means the descriptor itself.
    let length = unsafe { libc::readlinkat(link.as_raw_fd(), c"".as_ptr(), buffer, target.len()) };
    target.truncate(usize::try_from(length).map_err(|_| io::Error::last_os_error())?);
    Ok(OsString::from_vec(target))
}

/// The names in a directory, without `.` and `..`, in no order; at most `limit` of them.
pub fn list(dir: &File, limit: usize) -> io::Result<Vec<OsString>> {
    // A descriptor of its own: the directory stream owns and closes it.
    let own = open_at(dir, ".".as_ref(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let mut names = Vec::new();
    // SAFETY: the stream is closed once; an entry is read before the next call replaces it.
    unsafe {
        let stream = libc::fdopendir(own.as_raw_fd());
        if stream.is_null() {
            return Err(io::Error::last_os_error());
        }
        std::mem::forget(own);
        loop {
            let entry = libc::readdir(stream);
            if entry.is_null() || names.len() > limit {
                break;
            }
            let name = CStr::from_ptr((*entry).d_name.as_ptr()).to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        libc::closedir(stream);
    }
    if names.len() > limit {
        return Err(io::Error::other(format!("more than {limit} names in one directory")));
    }
    Ok(names)
}

/// Gives a link or file in an open directory to a user, without following it.
pub fn chown_at(dir: &impl AsFd, name: &OsStr, uid: u32, gid: u32) -> io::Result<()> {
    let name = c_string(name)?;
    let (dir, flags) = (dir.as_fd().as_raw_fd(), libc::AT_SYMLINK_NOFOLLOW);
    // SAFETY: a C string and integers.
    check(unsafe { libc::fchownat(dir, name.as_ptr(), uid, gid, flags) }).map(drop)
}

/// A directory, for the calls above.
pub fn open_dir(path: &Path) -> io::Result<File> {
    let path = c_string(path.as_os_str())?;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: a C string and integers; the descriptor is new and ours.
    unsafe { Ok(File::from_raw_fd(check(libc::open(path.as_ptr(), flags))?)) }
}

/// Output goes nowhere from here on.
pub fn silence() -> io::Result<()> {
    let nowhere = File::options().write(true).open("/dev/null")?;
    place(&nowhere, 1)?;
    place(&nowhere, 2)
}

/// Ends this process at once, without what it has to tidy up.
pub fn leave(code: c_int) -> ! {
    // SAFETY: an integer; nothing of this process runs after it.
    unsafe { libc::_exit(code) }
}

/// The child of `command` gets a copy of `file` under this number, whatever it was before.
pub fn give(command: &mut std::process::Command, file: File, number: RawFd) {
    use std::os::unix::process::CommandExt;
    // SAFETY: the hook makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(move || check(libc::dup2(file.as_raw_fd(), number)).map(drop));
    }
}
