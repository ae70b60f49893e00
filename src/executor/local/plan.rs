//! What a container is made of, as a plain value, and its form for the OCI runtime.
//!
//! Pure: no file is touched here. Nothing of a step's command, environment or files is in it; those
//! reach the container by one frame on descriptor 3.
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::protections::{Protection, Protections};
use super::rootfs::ETC;
use super::uids::Range;
use crate::executor::{Limits, Root, StepKind};

/// A directory or file of the host that a container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bind {
    pub(super) from: PathBuf,
    pub(super) to: String,
    pub(super) writable: bool,
    pub(super) exec: bool,
}

impl Bind {
    /// A file that is made for one container.
    pub(super) fn file(from: &Path, to: &str) -> Self {
        Self { exec: false, ..Self::readonly(from, to) }
    }

    pub(super) fn readonly(from: &Path, to: &str) -> Self {
        Self { from: from.to_owned(), to: to.to_owned(), writable: false, exec: true }
    }

    /// A directory that root shares with every step; no program is started from it.
    pub(super) fn shared(from: &Path, to: &str) -> Self {
        Self { from: from.to_owned(), to: to.to_owned(), writable: true, exec: false }
    }
}

/// A container.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ContainerPlan {
    /// The job's uids and gids.
    pub(super) users: Range,
    pub(super) rootfs: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) cwd: String,
    pub(super) hostname: String,
    /// None where cgroups can't be written: then nothing is limited.
    pub(super) cgroup: Option<String>,
    pub(super) limits: Limits,
    pub(super) swap: bool,
    pub(super) root: Root,
    /// What its root may do inside, `CAP_…`.
    pub(super) capabilities: Vec<String>,
    pub(super) binds: Vec<Bind>,
    /// The network that it joins; none: an empty one of its own.
    pub(super) network: Option<PathBuf>,
    /// base64 of the compiled seccomp program.
    pub(super) seccomp: String,
    pub(super) protections: Protections,
}

/// What root inside a step may do: handle files and users of its own range, nothing of the kernel.
pub(super) const STEP_CAPABILITIES: &[&str] =
    &["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_SETUID", "CAP_SETGID", "CAP_KILL"];

/// What of that a step gets where it asks for nothing more.
pub(super) fn step_capabilities(more: &[String]) -> Vec<String> {
    let more = more.iter().map(|name| format!("CAP_{name}"));
    STEP_CAPABILITIES.iter().map(|name| (*name).to_owned()).chain(more).collect()
}

/// Files of /proc that tell of the machine and of nothing that a step needs.
const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/interrupts",
];

/// Files of /proc that set the machine up.
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Where the build of an image sees the workspace.
const CONTEXT: &str = "/danube/context";

/// The group of terminals.
const TTY: u32 = 5;

/// Where a container of each kind gets its files from.
pub(super) struct Sources<'a> {
    pub(super) shim: &'a Path,
    pub(super) sdk: &'a Path,
    pub(super) source: &'a Path,
    pub(super) workspace: &'a Path,
    pub(super) socket_dir: &'a Path,
}

/// What a container of this kind sees of the job. The coordinator sees its checkout and socket and
/// no workspace, a step the workspace and neither.
pub(super) fn binds(kind: StepKind, build: bool, from: &Sources<'_>) -> Vec<Bind> {
    let mut binds = vec![Bind::readonly(from.shim, "/danube/init")];
    match kind {
        StepKind::Coordinator => {
            binds.push(Bind { exec: false, ..Bind::readonly(from.source, "/danube/source") });
            binds.push(Bind { exec: false, ..Bind::readonly(from.sdk, "/danube/sdk") });
            binds.push(Bind { exec: false, ..Bind::readonly(from.socket_dir, "/danube/run") });
        }
        // A builder leaves out of an image whatever is written below a mount: its own lies where no image has anything.
        StepKind::Step if build => binds.push(Bind { to: CONTEXT.to_owned(), ..workspace(from.workspace) }),
        StepKind::Step => binds.push(workspace(from.workspace)),
        StepKind::Service => {}
    }
    binds
}

pub(super) fn workspace(from: &Path) -> Bind {
    Bind { from: from.to_owned(), to: "/workspace".to_owned(), writable: true, exec: true }
}

/// The names of /etc that this machine has, to be mounted read-only.
pub(super) fn host_binds(exists: impl Fn(&Path) -> bool) -> Vec<Bind> {
    let mut binds = vec![Bind::readonly(Path::new("/usr"), "/usr")];
    for name in ETC {
        let path = Path::new("/etc").join(name);
        if exists(&path) {
            binds.push(Bind { exec: false, ..Bind::readonly(&path, &format!("/etc/{name}")) });
        }
    }
    binds
}

impl ContainerPlan {
    /// The runtime's `config.json`.
    pub(super) fn to_oci(&self) -> Value {
        let has = |protection| self.protections.has(protection);
        let mut annotations = serde_json::Map::new();
        annotations.insert("run.oci.seccomp_bpf_data".to_owned(), json!(self.seccomp));
        let capabilities = self.capabilities();
        let paths = |protection, paths: &[&str]| if has(protection) { json!(paths) } else { json!([]) };
        let mut oci = json!({
            "ociVersion": "1.0.2",
            "hostname": self.hostname,
            "root": { "path": self.rootfs, "readonly": self.root == Root::Readonly },
            "process": {
                "terminal": false,
                "user": { "uid": 0, "gid": 0 },
                "args": self.args,
                "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "cwd": self.cwd,
                "noNewPrivileges": has(Protection::NoNewPrivileges),
                "capabilities": {
                    "bounding": capabilities,
                    "effective": capabilities,
                    "permitted": capabilities,
                    "inheritable": [],
                    "ambient": [],
                },
            },
            "mounts": self.mounts(),
            "annotations": annotations,
            "linux": {
                "namespaces": self.namespaces(),
                "uidMappings": [{ "containerID": 0, "hostID": self.users.base, "size": self.users.size }],
                "gidMappings": [{ "containerID": 0, "hostID": self.users.base, "size": self.users.size }],
                "maskedPaths": paths(Protection::MaskedPaths, &MASKED),
                "readonlyPaths": paths(Protection::ReadonlyPaths, &READONLY),
            },
        });
        if !has(Protection::UserNamespace)
            && let Some(linux) = oci["linux"].as_object_mut()
        {
            linux.retain(|name, _| !name.ends_with("Mappings"));
        }
        if !has(Protection::UtsNamespace)
            && let Some(oci) = oci.as_object_mut()
        {
            oci.remove("hostname");
        }
        if let Some(cgroup) = &self.cgroup {
            oci["linux"]["cgroupsPath"] = json!(cgroup);
            oci["linux"]["resources"] = self.resources();
        }
        oci
    }

    fn network(&self) -> Value {
        match &self.network {
            Some(path) => json!({ "type": "network", "path": path }),
            None => json!({ "type": "network" }),
        }
    }

    fn capabilities(&self) -> Vec<String> {
        let mut all = self.capabilities.clone();
        all.extend(self.protections.capabilities().map(str::to_owned).filter(|more| !self.capabilities.contains(more)));
        all
    }

    fn namespaces(&self) -> Vec<Value> {
        let own = [
            (Some(Protection::PidNamespace), "pid"),
            (Some(Protection::IpcNamespace), "ipc"),
            (Some(Protection::UtsNamespace), "uts"),
            (None, "mount"),
            (Some(Protection::UserNamespace), "user"),
            (Some(Protection::NetworkNamespace), "network"),
            (Some(Protection::CgroupNamespace), "cgroup"),
        ];
        let kept = own.iter().filter(|(protection, _)| protection.is_none_or(|one| self.protections.has(one)));
        let form = |kind: &str| if kind == "network" { self.network() } else { json!({ "type": kind }) };
        kept.map(|(_, kind)| form(kind)).collect()
    }

    fn resources(&self) -> Value {
        let has = |protection| self.protections.has(protection);
        let mut resources = serde_json::Map::new();
        if has(Protection::MemoryLimit) {
            let mut memory = json!({ "limit": self.limits.memory_bytes });
            if self.swap {
                memory["swap"] = json!(self.limits.memory_bytes);
            }
            resources.insert("memory".to_owned(), memory);
        }
        if has(Protection::PidsLimit) {
            resources.insert("pids".to_owned(), json!({ "limit": self.limits.pids }));
        }
        if self.limits.cpu > 0.0 && has(Protection::CpuLimit) {
            // In microseconds of each tenth of a second; the kernel takes no less than 1 ms.
            let quota = (self.limits.cpu * 100_000.0).max(1000.0).round();
            resources.insert("cpu".to_owned(), json!({ "quota": quota as i64, "period": 100_000 }));
        }
        if !has(Protection::DeviceList) {
            let all = ["b", "c"].map(|kind| json!({ "allow": true, "type": kind, "access": "rwm" }));
            resources.insert("devices".to_owned(), json!(all));
        }
        Value::Object(resources)
    }

    fn mounts(&self) -> Vec<Value> {
        let has = |protection| self.protections.has(protection);
        let mount = |to: &str, kind: &str, options: &[&str]| json!({ "destination": to, "type": kind, "source": kind, "options": options });
        let pts: &[&str] = &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
        // The group of terminals must be mapped to be named.
        let pts = if TTY < self.users.size { pts } else { &pts[..pts.len() - 1] };
        let mut mounts = vec![
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "noexec", "strictatime", "mode=755", "size=64k"]),
            mount("/dev/pts", "devpts", pts),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=64m"]),
            mount("/danube/files", "tmpfs", &["nosuid", "noexec", "nodev", "mode=711", "size=16m"]),
        ];
        if !has(Protection::PidNamespace) {
            // Another's processes are not this user namespace's to mount.
            mounts[0] = self.bind(&Bind::shared(Path::new("/proc"), "/proc"));
        }
        if self.root == Root::Readonly {
            mounts.push(mount("/tmp", "tmpfs", &["nosuid", "nodev", "mode=1777", "size=512m"]));
        }
        let of_the_machine = |path: &str, to: &str| Bind { exec: true, ..Bind::shared(Path::new(path), to) };
        let tmp = (!has(Protection::PrivateTmp)).then(|| of_the_machine("/tmp", "/tmp"));
        let all = (!has(Protection::NoHostPaths)).then(|| of_the_machine("/", "/host"));
        mounts.extend(self.binds.iter().chain(&tmp).chain(&all).map(|bind| self.bind(bind)));
        mounts
    }

    fn bind(&self, bind: &Bind) -> Value {
        let has = |protection| self.protections.has(protection);
        let mut options = vec!["rbind", "rprivate"];
        options.extend(has(Protection::NosuidBinds).then_some("nosuid"));
        options.extend(has(Protection::NodevBinds).then_some("nodev"));
        options.push(if bind.writable || !has(Protection::ReadonlyBinds) { "rw" } else { "ro" });
        if !bind.exec {
            options.push("noexec");
        }
        json!({ "destination": bind.to, "type": "bind", "source": bind.from, "options": options })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(kind: StepKind) -> ContainerPlan {
        let sources = Sources {
            shim: Path::new("/e/bin/danube-shim"),
            sdk: Path::new("/e/sdk"),
            source: Path::new("/e/jobs/J/source"),
            workspace: Path::new("/e/jobs/J/workspace"),
            socket_dir: Path::new("/r/jobs/J/rpc"),
        };
        let mut all = host_binds(|path| path == Path::new("/etc/ld.so.cache"));
        all.extend(binds(kind, false, &sources));
        ContainerPlan {
            users: Range::leased(0x7001_0000),
            rootfs: "/e/jobs/J/steps/1.1/rootfs".into(),
            args: vec!["/danube/init".into(), "init".into()],
            cwd: "/".into(),
            hostname: "step".into(),
            cgroup: Some("/danube-0000abcd/J/1.1".into()),
            limits: Limits { cpu: 1.5, memory_bytes: 1 << 30, pids: 512 },
            swap: true,
            root: Root::Writable,
            capabilities: step_capabilities(&[]),
            binds: all,
            network: None,
            seccomp: "BPF".into(),
            protections: Protections::default(),
        }
    }

    #[test]
    fn a_step_is_made_as_agreed() {
        let text = serde_json::to_string_pretty(&plan(StepKind::Step).to_oci()).unwrap();
        crate::golden::check("src/executor/local/plan_step.golden.json", &text);
    }

    #[test]
    fn without_root_a_step_has_one_user_and_no_limits() {
        let plan = ContainerPlan { users: Range::ONE, cgroup: None, ..plan(StepKind::Step) };
        let oci = plan.to_oci();
        for map in ["uidMappings", "gidMappings"] {
            assert_eq!(oci["linux"][map], json!([{ "containerID": 0, "hostID": 0, "size": 1 }]));
        }
        assert!(oci["linux"].get("cgroupsPath").is_none() && oci["linux"].get("resources").is_none());
        assert!(!oci.to_string().contains("gid=5"), "that group does not exist there");
    }

    #[test]
    fn a_capability_that_was_asked_for_is_given_beside_the_usual() {
        let plan = ContainerPlan { capabilities: step_capabilities(&["SETFCAP".to_owned()]), ..plan(StepKind::Step) };
        for set in ["bounding", "effective", "permitted"] {
            let given = plan.to_oci()["process"]["capabilities"][set].as_array().unwrap().clone();
            assert_eq!((given.len(), given.last()), (8, Some(&json!("CAP_SETFCAP"))));
        }
    }

    #[test]
    fn every_switch_of_a_protection_changes_the_plan_or_what_runs_in_it() {
        let whole = plan(StepKind::Step);
        for (_, name) in super::super::protections::ALL {
            let protections = Protections::without(&[(*name).to_owned()]).unwrap();
            let elsewhere = protections.calls().count() > 0
                || !protections.init_arguments().is_empty()
                || !protections.helper_arguments().is_empty();
            let less = ContainerPlan { protections, ..whole.clone() };
            assert!(elsewhere || less.to_oci() != whole.to_oci(), "{name} switches nothing");
        }
    }

    #[test]
    fn a_coordinator_sees_no_workspace_and_a_step_no_socket() {
        let step = plan(StepKind::Step).to_oci().to_string();
        let coordinator = plan(StepKind::Coordinator).to_oci().to_string();
        assert!(step.contains("/workspace") && !step.contains("/danube/run") && !step.contains("/danube/source"));
        assert!(coordinator.contains("/danube/run") && !coordinator.contains("\"/workspace\""));
    }

    #[test]
    fn every_bind_but_the_workspace_is_read_only() {
        let oci = plan(StepKind::Step).to_oci();
        let mounts = oci["mounts"].as_array().unwrap();
        for mount in mounts.iter().filter(|m| m["type"] == "bind") {
            let options: Vec<&str> = mount["options"].as_array().unwrap().iter().map(|o| o.as_str().unwrap()).collect();
            assert_eq!(options.contains(&"rw"), mount["destination"] == "/workspace", "{mount}");
            assert!(options.contains(&"nosuid") && options.contains(&"nodev"), "{mount}");
        }
    }
}
