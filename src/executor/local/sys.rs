//! Namespaces that take a call which the compiler can't check: between fork and exec a mount namespace
//! without the cgroup v2 side of a hybrid host, and the user namespace of an executor without root.
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::process::{Gid, Uid};
use rustix::thread::UnshareFlags;

/// crun 1.8 refuses a hybrid host whose v2 side has controllers: the child gets a mount namespace of
/// its own in which that side is not mounted.
pub(super) fn hide_unified(command: &mut Command) {
    // SAFETY: the hook makes three system calls and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            rustix::thread::unshare_unsafe(UnshareFlags::NEWNS)?;
            mount_change(c"/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
            match unmount(c"/sys/fs/cgroup/unified", UnmountFlags::DETACH) {
                Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
                Err(error) => Err(io::Error::from(error)),
            }
        });
    }
}

/// This process gets a user and a mount namespace of its own, with no user mapped yet.
pub(super) fn own_namespaces() -> io::Result<()> {
    // SAFETY: no descriptor table is unshared, so no descriptor changes its meaning; a process with
    // several threads is refused by the kernel.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)? };
    Ok(())
}

/// The program is started in a user namespace of its own, in which nobody is mapped yet.
pub(super) fn in_own_users(command: &mut Command) {
    // SAFETY: the hook makes one system call and allocates nothing; a forked child has one thread.
    unsafe {
        command.pre_exec(|| Ok(rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER)?));
    }
}

/// The program is started without a way to the network, mounts or other processes of the machine, as the root of this
/// user namespace; it ends with the thread that started it.
pub(super) fn alone(command: &mut Command, users: Option<File>) {
    use rustix::process::{Signal, set_parent_process_death_signal};
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    let apart = UnshareFlags::NEWNS | UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    // SAFETY: the hook makes system calls and allocates nothing; a forked child has one thread, so what is set for the
    // thread is set for the process.
    unsafe {
        command.pre_exec(move || {
            if let Some(users) = &users {
                move_into_link_name_space(users.as_fd(), Some(LinkNameSpaceType::User))?;
                rustix::thread::set_thread_groups(&[])?;
                rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
                rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
            }
            rustix::thread::unshare_unsafe(apart)?;
            set_parent_process_death_signal(Some(Signal::KILL))?;
            Ok(rustix::thread::set_no_new_privs(true)?)
        });
    }
}

/// The child gets copies of `files` as its descriptors 3, 4, …
pub(super) fn pass(command: &mut Command, files: &[&File]) -> io::Result<()> {
    // Copies far above the targets, so that no target is overwritten before it was copied.
    let copies: Vec<OwnedFd> =
        files.iter().map(|f| rustix::io::fcntl_dupfd_cloexec(f, 100)).collect::<Result<_, _>>()?;
    // SAFETY: the hook makes one system call a descriptor and allocates nothing; the targets are
    // numbers that nothing in the child owns between fork and exec, and they are not closed here.
    unsafe {
        command.pre_exec(move || {
            for (copy, target) in copies.iter().zip(3..) {
                let mut target = OwnedFd::from_raw_fd(target);
                let done = rustix::io::dup2(copy, &mut target);
                let _kept = target.into_raw_fd();
                done?;
            }
            Ok(())
        });
    }
    Ok(())
}

/// This thread gets a network namespace of its own, with nothing in it.
pub(super) fn own_network() -> io::Result<()> {
    // SAFETY: no descriptor table is unshared, so no descriptor changes its meaning.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET)? };
    Ok(())
}
