//! What stands between a step and the machine, each part with a name of its own.
//!
//! All of them are on. A suite that shows what each is good for turns one off (`danube executor --for-tests
//! --without NAME`), and sees an attempt succeed that was refused before.
use std::collections::BTreeSet;

/// The names, with what goes where one is off.
pub(super) const ALL: &[(Protection, &str)] = &[
    (Protection::UserNamespace, "user-namespace"),
    (Protection::PidNamespace, "pid-namespace"),
    (Protection::IpcNamespace, "ipc-namespace"),
    (Protection::UtsNamespace, "uts-namespace"),
    (Protection::NetworkNamespace, "network-namespace"),
    (Protection::CgroupNamespace, "cgroup-namespace"),
    (Protection::NoNewPrivileges, "no-new-privileges"),
    (Protection::CapabilitiesAdmin, "capabilities-admin"),
    (Protection::CapabilitiesNetwork, "capabilities-network"),
    (Protection::CapabilitiesTrace, "capabilities-trace"),
    (Protection::CapabilitiesDevices, "capabilities-devices"),
    (Protection::CapabilitiesRoot, "capabilities-root"),
    (Protection::CapabilitiesFiles, "capabilities-files"),
    (Protection::SeccompNamespaces, "seccomp-namespaces"),
    (Protection::SeccompMounts, "seccomp-mounts"),
    (Protection::SeccompKeyrings, "seccomp-keyrings"),
    (Protection::SeccompKernel, "seccomp-kernel"),
    (Protection::SeccompUserfault, "seccomp-userfault"),
    (Protection::SeccompIoUring, "seccomp-io-uring"),
    (Protection::SeccompHandles, "seccomp-handles"),
    (Protection::SeccompNames, "seccomp-names"),
    (Protection::SeccompSockets, "seccomp-sockets"),
    (Protection::MaskedPaths, "masked-paths"),
    (Protection::ReadonlyPaths, "readonly-paths"),
    (Protection::NoHostPaths, "no-host-paths"),
    (Protection::PrivateTmp, "private-tmp"),
    (Protection::ReadonlyBinds, "readonly-binds"),
    (Protection::NosuidBinds, "nosuid-binds"),
    (Protection::NodevBinds, "nodev-binds"),
    (Protection::DeviceList, "device-list"),
    (Protection::UndumpableInit, "undumpable-init"),
    (Protection::ClosedFrame, "closed-frame"),
    (Protection::LinksRefused, "links-refused"),
    (Protection::CpuLimit, "cpu-limit"),
    (Protection::MemoryLimit, "memory-limit"),
    (Protection::PidsLimit, "pids-limit"),
];

/// One protection of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protection {
    /// Root inside is a nobody outside.
    UserNamespace,
    /// Only its own processes are seen, and its first one can't be killed from inside.
    PidNamespace,
    /// No shared memory of the machine.
    IpcNamespace,
    /// A host name of its own.
    UtsNamespace,
    /// No network but its own.
    NetworkNamespace,
    /// Its place among the cgroups is not seen.
    CgroupNamespace,
    /// No program gains rights by its file.
    NoNewPrivileges,
    /// No rights of an administrator.
    CapabilitiesAdmin,
    /// No raw packets, no setting up of networks.
    CapabilitiesNetwork,
    /// No look into processes of others.
    CapabilitiesTrace,
    /// No device nodes.
    CapabilitiesDevices,
    /// No other root directory.
    CapabilitiesRoot,
    /// No way around the rights of files.
    CapabilitiesFiles,
    /// No namespaces inside.
    SeccompNamespaces,
    /// Nothing that mounts or moves a root.
    SeccompMounts,
    /// No keyrings of the kernel.
    SeccompKeyrings,
    /// No programs inside the kernel, no counters of it.
    SeccompKernel,
    /// No handling of page faults.
    SeccompUserfault,
    /// No rings of calls.
    SeccompIoUring,
    /// No files by handles.
    SeccompHandles,
    /// No change of names of the machine.
    SeccompNames,
    /// No sockets to a hypervisor or to the kernel's ciphers.
    SeccompSockets,
    /// Files of /proc that tell of the machine are empty.
    MaskedPaths,
    /// Files of /proc that set the machine up can't be written.
    ReadonlyPaths,
    /// No directory of the machine but the listed ones.
    NoHostPaths,
    /// A /tmp of its own.
    PrivateTmp,
    /// What comes from the machine can't be written.
    ReadonlyBinds,
    /// Files from outside lend no rights.
    NosuidBinds,
    /// Files from outside are no devices.
    NodevBinds,
    /// Only the listed devices can be opened.
    DeviceList,
    /// Nobody inside looks into its first process.
    UndumpableInit,
    /// The command does not inherit what its first process was told.
    ClosedFrame,
    /// Exports follow no links.
    LinksRefused,
    /// A bound of processors.
    CpuLimit,
    /// A bound of memory.
    MemoryLimit,
    /// A bound of processes.
    PidsLimit,
}

/// The protections that a container has: all but those that a test took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protections {
    off: BTreeSet<Protection>,
}

impl Protections {
    /// All but the named ones; an unknown name is given back.
    pub fn without(names: &[String]) -> Result<Self, String> {
        let find = |name: &String| ALL.iter().find(|(_, known)| known == name).map(|(one, _)| *one).ok_or(name.clone());
        Ok(Self { off: names.iter().map(find).collect::<Result<_, _>>()? })
    }

    /// The names of all protections.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|(_, name)| *name)
    }

    /// Whether a protection is on.
    pub(super) fn has(&self, protection: Protection) -> bool {
        !self.off.contains(&protection)
    }

    /// The names of those that are off.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        ALL.iter().filter(|(one, _)| !self.has(*one)).map(|(_, name)| *name).collect()
    }

    /// The capabilities that are not kept away.
    pub(super) fn capabilities(&self) -> impl Iterator<Item = &'static str> {
        ALL.iter().filter(|(one, _)| !self.has(*one)).flat_map(|(one, _)| capabilities(*one)).copied()
    }

    /// The calls that are not kept away.
    pub(super) fn calls(&self) -> impl Iterator<Item = &'static str> {
        ALL.iter().filter(|(one, _)| !self.has(*one)).flat_map(|(one, _)| calls(*one)).copied()
    }

    /// What the first process of a step is told not to do.
    pub(super) fn init_arguments(&self) -> Vec<String> {
        let words = [(Protection::UndumpableInit, "--dumpable"), (Protection::ClosedFrame, "--keep-frame")];
        words.iter().filter(|(one, _)| !self.has(*one)).map(|(_, word)| (*word).to_owned()).collect()
    }

    /// What a helper in a workspace is told not to do.
    pub(super) fn helper_arguments(&self) -> Vec<String> {
        if self.has(Protection::LinksRefused) { Vec::new() } else { vec!["--follow-links".to_owned()] }
    }
}

const fn capabilities(group: Protection) -> &'static [&'static str] {
    match group {
        Protection::CapabilitiesAdmin => &["CAP_SYS_ADMIN", "CAP_BPF", "CAP_PERFMON", "CAP_SYSLOG"],
        Protection::CapabilitiesNetwork => &["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_NET_BIND_SERVICE"],
        Protection::CapabilitiesTrace => &["CAP_SYS_PTRACE"],
        Protection::CapabilitiesDevices => &["CAP_MKNOD", "CAP_SYS_RAWIO"],
        Protection::CapabilitiesRoot => &["CAP_SYS_CHROOT"],
        Protection::CapabilitiesFiles => &["CAP_DAC_READ_SEARCH", "CAP_SETFCAP"],
        _ => &[],
    }
}

const fn calls(group: Protection) -> &'static [&'static str] {
    match group {
        Protection::SeccompNamespaces => &["unshare", "setns", "clone", "clone3"],
        Protection::SeccompMounts => &[
            "mount",
            "umount2",
            "pivot_root",
            "chroot",
            "fsopen",
            "fsconfig",
            "fsmount",
            "fspick",
            "move_mount",
            "open_tree",
            "mount_setattr",
        ],
        Protection::SeccompKeyrings => &["add_key", "request_key", "keyctl"],
        Protection::SeccompKernel => &["bpf", "perf_event_open"],
        Protection::SeccompUserfault => &["userfaultfd"],
        Protection::SeccompIoUring => &["io_uring_setup", "io_uring_enter", "io_uring_register"],
        Protection::SeccompHandles => &["name_to_handle_at", "open_by_handle_at"],
        Protection::SeccompNames => &["sethostname", "setdomainname"],
        Protection::SeccompSockets => &["socket"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_on_and_one_is_turned_off_by_its_name() {
        let all = Protections::default();
        assert!(ALL.iter().all(|(one, _)| all.has(*one)) && all.missing().is_empty());
        assert_eq!((all.capabilities().count(), all.calls().count()), (0, 0));
        assert!(all.init_arguments().is_empty() && all.helper_arguments().is_empty());
        for (one, name) in ALL {
            let less = Protections::without(&[(*name).to_owned()]).unwrap();
            assert_eq!(less.missing(), [*name]);
            assert!(!less.has(*one));
        }
        assert_eq!(Protections::without(&["nothing".to_owned()]), Err("nothing".to_owned()));
    }

    #[test]
    fn every_capability_that_is_not_given_has_a_group() {
        let off: Vec<String> = ALL.iter().map(|(_, name)| (*name).to_owned()).collect();
        let given: Vec<&str> = Protections::without(&off).unwrap().capabilities().collect();
        assert!(super::super::plan::STEP_CAPABILITIES.iter().all(|usual| !given.contains(usual)), "{given:?}");
    }
}
