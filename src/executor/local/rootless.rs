//! Without root: the executor makes a user namespace of its own and is root in there alone.
//!
//! One user is mapped: the container's root, the executor and the person who started it are the same
//! for the rest of the machine. What needs more than that is told by `NOT_ENFORCED`.
use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{getegid, geteuid};

use super::policy::Ids;
use super::{StartError, sys};
use crate::executor::ExecutorError;

/// What an ordinary user can't have, in words for that user.
pub(super) const NOT_ENFORCED: [&str; 3] = [
    "memory, cpu and pids limits: cgroups take root",
    "separate users: steps run as your own user inside a user namespace",
    "the supervisor's own user: what redacts and records a step runs as your own user too",
];

/// Says that this process is in a user namespace of its own.
#[derive(Debug, Clone, Copy)]
pub struct Rootless(());

/// Makes the user namespace of an ordinary user's executor and enters it. Must come before any thread.
pub fn enter() -> Result<Rootless, StartError> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let closed = |source: io::Error| StartError::UserNamespace {
        source,
        advice: advice(|name| fs::read_to_string(format!("/proc/sys/{name}")).ok()),
    };
    sys::own_namespaces().map_err(closed)?;
    // Groups must be given up before the kernel takes a map from somebody without rights.
    for (name, text) in
        [("setgroups", "deny".to_owned()), ("uid_map", format!("0 {uid} 1")), ("gid_map", format!("0 {gid} 1"))]
    {
        fs::write(format!("/proc/self/{name}"), text).map_err(closed)?;
    }
    mount_change(c"/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .and_then(|()| cover_cgroups())
        .map_err(|errno| closed(errno.into()))?;
    Ok(Rootless(()))
}

/// The runtime refuses some mixtures of cgroup versions and tries to use others. None can be written
/// from here, and none can be unmounted: it sees an empty directory instead.
fn cover_cgroups() -> rustix::io::Result<()> {
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match mount(c"none", c"/sys/fs/cgroup", c"tmpfs", flags, c"size=4k") {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

/// What to do where user namespaces are closed; `read` gives the kernel's settings.
fn advice(read: impl Fn(&str) -> Option<String>) -> &'static str {
    let is = |name: &str, value: &str| read(name).is_some_and(|text| text.trim() == value);
    if is("kernel/unprivileged_userns_clone", "0") {
        return "they are switched off for ordinary users: `sudo sysctl kernel.unprivileged_userns_clone=1` opens them, or use sudo";
    }
    if is("user/max_user_namespaces", "0") {
        return "none are allowed: `sudo sysctl user.max_user_namespaces=15000` allows them, or use sudo";
    }
    if is("kernel/apparmor_restrict_unprivileged_userns", "1") {
        return "AppArmor closes them to programs without a profile: give danube and crun one with the rule `userns,`, or `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or use sudo";
    }
    "a container around this, its seccomp profile or a security module may forbid them: allow them there, or use sudo"
}

/// The user of a step where only its root is mapped.
pub(super) fn only_root(ids: Ids) -> Result<Ids, ExecutorError> {
    match ids {
        (None | Some(0), None | Some(0)) => Ok((None, None)),
        (uid, gid) => {
            let id = uid.filter(|uid| *uid != 0).or(gid).unwrap_or(0);
            Err(ExecutorError::User(format!(
                "user {id} can't be had without root: here a step has one user, its own root, which is yourself outside; leave `user` out, or run danube as root"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_user_namespaces_are_told_with_what_opens_them() {
        let with = |wanted: &'static str, value: &'static str| {
            advice(move |name| (name == wanted).then(|| format!("{value}\n")))
        };
        assert!(with("kernel/unprivileged_userns_clone", "0").contains("kernel.unprivileged_userns_clone=1"));
        assert!(with("user/max_user_namespaces", "0").contains("user.max_user_namespaces=15000"));
        assert!(with("kernel/apparmor_restrict_unprivileged_userns", "1").contains("AppArmor"));
        assert!(with("kernel/unprivileged_userns_clone", "1").contains("seccomp"));
    }

    #[test]
    fn only_the_containers_root_can_be_a_steps_user() {
        assert_eq!(only_root((None, None)).unwrap(), (None, None));
        assert_eq!(only_root((Some(0), Some(0))).unwrap(), (None, None));
        for (ids, named) in [((Some(1000), Some(1000)), "user 1000"), ((Some(0), Some(7)), "user 7")] {
            let error = only_root(ids).unwrap_err();
            assert!(matches!(&error, ExecutorError::User(text) if text.starts_with(named)), "{error:?}");
        }
    }
}
