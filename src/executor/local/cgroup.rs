//! Which cgroups this machine has, and the removal of ours.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";

/// The cgroup file systems of the machine.
#[derive(Debug, Clone)]
pub(super) struct Cgroups {
    /// v1 controllers (or `unified` alone) that can be written, each a hierarchy of its own.
    hierarchies: Vec<PathBuf>,
    /// A hybrid host whose v2 side crun must not see.
    pub(super) hide_unified: bool,
    /// Swap can be limited too.
    pub(super) swap: bool,
}

impl Cgroups {
    pub(super) fn probe() -> Self {
        let root = Path::new(ROOT);
        let unified = root.join("cgroup.controllers").exists();
        let hierarchies = if unified {
            vec![root.to_owned()]
        } else {
            ["cpu", "cpuacct", "cpu,cpuacct", "memory", "pids", "freezer", "devices", "blkio", "cpuset", "systemd"]
                .iter()
                .map(|c| root.join(c))
                .filter(|p| p.join("cgroup.procs").exists())
                .collect()
        };
        let v2_side = fs::read_to_string(root.join("unified/cgroup.controllers")).unwrap_or_default();
        Self {
            hierarchies,
            hide_unified: !unified && !v2_side.trim().is_empty(),
            swap: unified || root.join("memory/memory.memsw.limit_in_bytes").exists(),
        }
    }

    fn has(&self, controller: &str) -> bool {
        match fs::read_to_string(Path::new(ROOT).join("cgroup.controllers")) {
            Ok(all) => all.split_whitespace().any(|c| c == controller),
            Err(_) => self
                .hierarchies
                .iter()
                .any(|h| h.file_name().is_some_and(|n| n.to_string_lossy().split(',').any(|c| c == controller))),
        }
    }

    pub(super) fn not_enforced(&self) -> Vec<String> {
        ["memory", "pids", "cpu"]
            .iter()
            .filter(|c| !self.has(c))
            .map(|c| format!("{c} limit: this machine offers no {c} cgroup controller"))
            .collect()
    }

    /// Where the count of out-of-memory kills of a step may stand.
    pub(super) fn oom_counters(&self, cgroup: &str) -> Vec<PathBuf> {
        let below = cgroup.trim_start_matches('/');
        vec![Path::new(ROOT).join("memory").join(below), Path::new(ROOT).join(below)]
    }

    /// Removes the empty cgroups at and below `cgroup` in every hierarchy; false where one is not empty.
    pub(super) fn remove(&self, cgroup: &str) -> bool {
        let below = cgroup.trim_start_matches('/');
        // Each is tried, whatever became of the one before.
        let left = self.hierarchies.iter().filter(|hierarchy| !remove_tree(&hierarchy.join(below))).count();
        left == 0
    }

    /// Every process in the cgroups at and below `cgroup`.
    pub(super) fn processes(&self, cgroup: &str) -> Vec<i32> {
        let mut pids = Vec::new();
        for hierarchy in &self.hierarchies {
            collect(&hierarchy.join(cgroup.trim_start_matches('/')), &mut pids);
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// The names of the cgroups right below one, in any hierarchy.
    pub(super) fn below(&self, cgroup: &str) -> Vec<String> {
        let below = cgroup.trim_start_matches('/');
        let dirs = self.hierarchies.iter().flat_map(|hierarchy| children(&hierarchy.join(below)));
        let mut names: Vec<String> = dirs.filter_map(|dir| Some(dir.file_name()?.to_str()?.to_owned())).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether a cgroup is there, in any hierarchy.
    pub(super) fn exists(&self, cgroup: &str) -> bool {
        let below = cgroup.trim_start_matches('/');
        self.hierarchies.iter().any(|hierarchy| hierarchy.join(below).exists())
    }

    /// Lets frozen processes at and below `cgroup` go on: in version 1 one that was killed ends only then.
    pub(super) fn thaw(&self, cgroup: &str) {
        let freezer = self.hierarchies.iter().filter(|hierarchy| hierarchy.ends_with("freezer"));
        freezer.for_each(|hierarchy| thaw(&hierarchy.join(cgroup.trim_start_matches('/'))));
    }

    /// The cgroup that holds all of an instance's.
    pub(super) fn instance(instance: &str) -> String {
        format!("/danube-{instance}")
    }
}

fn collect(dir: &Path, pids: &mut Vec<i32>) {
    if let Ok(text) = fs::read_to_string(dir.join("cgroup.procs")) {
        pids.extend(text.lines().filter_map(|l| l.parse::<i32>().ok()));
    }
    for child in children(dir) {
        collect(&child, pids);
    }
}

fn thaw(dir: &Path) {
    // Where nothing is frozen this changes nothing; where it fails, who waits for the end says so.
    let _gone = fs::write(dir.join("freezer.state"), "THAWED");
    for child in children(dir) {
        thaw(&child);
    }
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}

fn remove_tree(dir: &Path) -> bool {
    for child in children(dir) {
        remove_tree(&child);
    }
    match fs::remove_dir(dir) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => {
            tracing::debug!(cgroup = %dir.display(), %error, "a cgroup is not empty yet");
            false
        }
    }
}
