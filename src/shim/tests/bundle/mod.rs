//! A tiny container: the machine's /usr read-only in a user namespace of its own.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a harness of tests")]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use danube_shim::frame;
use danube_shim::record::{Exit, Records};
use danube_shim::start::{ContainerStart, StepStart, VERSION};
use serde_json::json;
use tempfile::TempDir;

const CRUN: &str = "/usr/bin/crun";
const UID_BASE: u32 = 1_000_000;
const MEMORY: u64 = 64 << 20;

/// One step in a directory of its own, removed with everything that runs in it.
pub(crate) struct Step {
    pub(crate) start: StepStart,
    dir: TempDir,
}

impl Step {
    /// A step that runs a shell script; `None` where containers cannot be started.
    pub(crate) fn new(script: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if danube_shim::sys::effective_uid() != 0 || !Path::new(CRUN).exists() {
            eprintln!("skipped: needs root and {CRUN}");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("danube-shim-test-{}-{number}", std::process::id());
        let bundle = dir.path().join("bundle");
        make_bundle(dir.path(), &bundle, &id);
        let start = StepStart {
            version: VERSION,
            bundle,
            container_id: id.clone(),
            crun: CRUN.into(),
            crun_root: dir.path().join("crun"),
            step_dir: dir.path().to_owned(),
            cgroups: ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].map(|root| Path::new(root).join(&id)).into(),
            hide_unified: hybrid_with_controllers(),
            drop: None,
            patterns: Vec::new(),
            log_limit: 1 << 20,
            capture_secret: false,
            container: ContainerStart {
                argv: ["/bin/sh", "-c", script].map(str::to_owned).into(),
                env: vec![("PATH".into(), "/usr/bin:/bin".into())],
                files: Vec::new(),
                workdir: "/workspace".into(),
                uid: None,
                gid: None,
                ready: None,
                user: None,
                trust: None,
                roots: None,
            },
            notes: Vec::new(),
            fault: None,
            overlay: None,
        };
        Some(Self { start, dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.dir().join("workspace")
    }

    /// Starts the supervisor with its three descriptors.
    pub(crate) fn spawn(&self) -> Child {
        let frame = self.dir().join("frame");
        fs::write(&frame, frame::encode(&self.start).unwrap()).unwrap();
        fs::set_permissions(&frame, Permissions::from_mode(0o600)).unwrap();
        let child = Command::new("sh")
            .arg("-c")
            .arg("exec 3<frame 4>>log 5>>idx; rm frame; exec \"$0\" step")
            .arg(env!("CARGO_BIN_EXE_danube-shim"))
            .current_dir(self.dir())
            .spawn();
        child.unwrap()
    }

    /// Runs the step to its end.
    pub(crate) fn run(&self) -> Exit {
        assert_eq!(self.spawn().wait().unwrap().code(), Some(0));
        self.exit()
    }

    pub(crate) fn exit(&self) -> Exit {
        Records::open(self.dir()).unwrap().exit().unwrap().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir().join("log")).unwrap_or_default()
    }

    pub(crate) fn wait_for_log(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} in {:?}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Runs `crun VERB ID REST…`.
    pub(crate) fn crun(&self, arguments: &[&str]) {
        let (verb, rest) = arguments.split_first().unwrap();
        let mut crun = Command::new("unshare");
        crun.args(["-m", "--propagation", "slave", "sh", "-c"]);
        crun.arg("umount -l /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\"");
        crun.args(["sh", CRUN, "--cgroup-manager=cgroupfs", "--root"]);
        crun.arg(&self.start.crun_root).arg(verb);
        if *verb == "delete" {
            crun.arg("-f");
        }
        crun.arg(&self.start.container_id).args(rest);
        crun.status().unwrap();
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.crun(&["delete"]);
    }
}

fn hybrid_with_controllers() -> bool {
    fs::read_to_string("/sys/fs/cgroup/unified/cgroup.controllers")
        .is_ok_and(|controllers| !controllers.trim().is_empty())
}

fn make_bundle(dir: &Path, bundle: &Path, id: &str) {
    fs::set_permissions(dir, Permissions::from_mode(0o711)).unwrap();
    let rootfs = bundle.join("rootfs");
    for name in ["usr", "dev", "proc", "tmp", "etc", "danube/files", "workspace"] {
        fs::create_dir_all(rootfs.join(name)).unwrap();
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), rootfs.join(name)).unwrap();
    }
    let workspace = dir.join("workspace");
    fs::create_dir(&workspace).unwrap();
    File::create(rootfs.join("danube/init")).unwrap();
    let init = dir.join("init");
    fs::copy(env!("CARGO_BIN_EXE_danube-shim"), &init).unwrap();
    for path in [&rootfs, &workspace] {
        chown(path, Some(UID_BASE), Some(UID_BASE)).unwrap();
    }
    fs::write(bundle.join("config.json"), config(&init, &workspace, id).to_string()).unwrap();
}

fn config(init: &Path, workspace: &Path, id: &str) -> serde_json::Value {
    let capabilities = json!(["CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_KILL"]);
    let mapping = json!([{"containerID": 0, "hostID": UID_BASE, "size": 65_536}]);
    let bind = |from: &Path, to: &str, options: &[&str]| json!({"destination": to, "type": "none", "source": from, "options": options});
    json!({
        "ociVersion": "1.0.0",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["/danube/init", "init"],
            "env": [],
            "cwd": "/",
            "noNewPrivileges": true,
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities
            },
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/danube/files", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=755"]},
            bind(Path::new("/usr"), "/usr", &["rbind", "ro", "nosuid", "nodev", "rslave"]),
            bind(init, "/danube/init", &["bind", "ro"]),
            bind(workspace, "/workspace", &["bind"]),
        ],
        "linux": {
            "cgroupsPath": format!("/{id}"),
            "uidMappings": mapping,
            "gidMappings": mapping,
            "namespaces": [
                {"type": "pid"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "mount"}, {"type": "user"}, {"type": "network"},
            ],
            "resources": {"memory": {"limit": MEMORY}},
        },
    })
}

/// Everything that lies in files below a directory, mounts and named files apart.
pub(crate) fn all_bytes_below(dir: &Path, except: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && !except.iter().any(|name| entry.file_name() == *name) {
                bytes.extend(fs::read(entry.path()).unwrap());
            }
        }
    }
    bytes
}
