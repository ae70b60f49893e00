//! Which cgroups this machine has, and the removal of ours.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";

/// What a step is bound by.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// The leaf in which this process lives where a service manager lends it a part of the tree.
const LEAF: &str = "executor";

/// The cgroup file systems of the machine.
#[derive(Debug, Clone)]
pub(super) struct Cgroups {
    /// v1 controllers that can be written, each a hierarchy of its own; of version 2 the part that is ours.
    hierarchies: Vec<PathBuf>,
    /// Version 2 alone.
    unified: bool,
    /// Of version 2: where our part begins, from the top; empty at the top.
    base: String,
    /// A hybrid host whose v2 side crun must not see.
    pub(super) hide_unified: bool,
    /// Swap can be limited too.
    pub(super) swap: bool,
}

impl Cgroups {
    pub(super) fn probe() -> Self {
        Self::look(Path::new(ROOT))
    }

    /// Like `probe`, and takes over the part of the tree that a service manager lends to this process.
    pub(super) fn take() -> Self {
        let mut cgroups = Self::probe();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        if cgroups.unified {
            cgroups.settle(Path::new(ROOT), &own, is_lent);
        }
        cgroups
    }

    fn look(root: &Path) -> Self {
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
            unified,
            base: String::new(),
            hide_unified: !unified && !v2_side.trim().is_empty(),
            swap: unified || root.join("memory/memory.memsw.limit_in_bytes").exists(),
        }
    }

    /// Version 2: where the cgroup of this process or the one above was lent to it, all that it makes goes there. A
    /// cgroup that gives controllers on holds no process itself, so everyone in it moves into a leaf first.
    fn settle(&mut self, root: &Path, own: &str, lent: impl Fn(&Path) -> bool) {
        let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::/")) else { return };
        let place = |path: &str| root.join(path.trim_start_matches('/'));
        let above = path.rsplit_once('/').map(|(above, _)| above);
        let Some(base) = [Some(path), above].into_iter().flatten().find(|path| !path.is_empty() && lent(&place(path)))
        else {
            return;
        };
        let dir = place(base);
        let moved = || {
            fs::create_dir_all(dir.join(LEAF))?;
            for pid in fs::read_to_string(dir.join("cgroup.procs"))?.lines() {
                fs::write(dir.join(LEAF).join("cgroup.procs"), pid)?;
            }
            Ok::<_, io::Error>(())
        };
        if let Err(error) = moved() {
            tracing::warn!(%error, cgroup = base, "the cgroup that was lent to this service can't be used");
            return;
        }
        self.base = format!("/{base}");
        self.hierarchies = vec![dir.clone()];
        for controller in CONTROLLERS {
            if let Err(error) = fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}")) {
                tracing::warn!(%error, controller, "a cgroup controller can't be given to steps");
            }
        }
    }

    /// The name by which the runtime finds a cgroup of ours.
    pub(super) fn path(&self, cgroup: &str) -> String {
        format!("{}{cgroup}", self.base)
    }

    fn has(&self, controller: &str) -> bool {
        if self.unified {
            // What was lent is what it may give on; at the top it is all that there is.
            let file = if self.base.is_empty() { "cgroup.controllers" } else { "cgroup.subtree_control" };
            let all = self.hierarchies.iter().filter_map(|dir| fs::read_to_string(dir.join(file)).ok());
            return all.into_iter().any(|all| all.split_whitespace().any(|c| c == controller));
        }
        let named = |dir: &PathBuf| {
            dir.file_name().is_some_and(|name| name.to_string_lossy().split(',').any(|c| c == controller))
        };
        self.hierarchies.iter().any(named)
    }

    pub(super) fn not_enforced(&self) -> Vec<String> {
        CONTROLLERS
            .iter()
            .filter(|c| !self.has(c))
            .map(|c| format!("{c} limit: this machine offers no {c} cgroup controller"))
            .collect()
    }

    /// Where the counts of what a step was refused may stand: kills for lack of memory, processes.
    pub(super) fn counters(&self, cgroup: &str) -> Vec<PathBuf> {
        let below = cgroup.trim_start_matches('/');
        let counting = |dir: &&PathBuf| self.unified || dir.ends_with("memory") || dir.ends_with("pids");
        self.hierarchies.iter().filter(counting).map(|dir| dir.join(below)).collect()
    }

    /// Kills everything at and below `cgroup` at once, where the kernel does that; who waits for the end looks.
    pub(super) fn kill(&self, cgroup: &str) {
        if self.unified {
            for dir in &self.hierarchies {
                let _gone = fs::write(dir.join(cgroup.trim_start_matches('/')).join("cgroup.kill"), "1");
            }
        }
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

/// A service manager marks a cgroup that it lends to a service.
fn is_lent(dir: &Path) -> bool {
    let marked = |name: &str| {
        let mut value = [0; 8];
        let read = rustix::fs::getxattr(dir, name, &mut value);
        read.is_ok_and(|length| value[..length] == *b"1")
    };
    ["user.delegate", "trusted.delegate"].into_iter().any(marked)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree as the kernel shows it: files are made by hand, what is written to them is looked at.
    fn version_2(controllers: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), controllers).unwrap();
        root
    }

    fn version_1(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in names {
            fs::create_dir(root.path().join(name)).unwrap();
            fs::write(root.path().join(name).join("cgroup.procs"), "").unwrap();
        }
        root
    }

    #[test]
    fn version_2_is_one_tree_and_says_what_it_lacks() {
        let root = version_2("cpuset cpu memory pids\n");
        let cgroups = Cgroups::look(root.path());
        assert!(cgroups.unified && cgroups.swap && !cgroups.hide_unified);
        assert_eq!(cgroups.not_enforced(), [] as [&str; 0]);
        assert_eq!(cgroups.counters("/danube-x/J/1.1"), [root.path().join("danube-x/J/1.1")]);
        let less = version_2("cpuset memory\n");
        let lines = Cgroups::look(less.path()).not_enforced();
        assert!(
            lines.len() == 2 && lines[0].starts_with("pids limit") && lines[1].starts_with("cpu limit"),
            "{lines:?}"
        );
    }

    #[test]
    fn version_1_has_a_tree_for_each_controller() {
        let root = version_1(&["cpu,cpuacct", "memory", "freezer"]);
        let cgroups = Cgroups::look(root.path());
        assert!(!cgroups.unified && !cgroups.swap);
        let lines = cgroups.not_enforced();
        assert!(lines.len() == 1 && lines[0].starts_with("pids limit"), "{lines:?}");
        assert_eq!(cgroups.counters("/d/1"), [root.path().join("memory/d/1")]);
        assert_eq!(cgroups.path("/d/1"), "/d/1");
    }

    #[test]
    fn a_hybrid_host_is_version_1_whose_other_side_is_hidden() {
        let root = version_1(&["memory", "pids", "cpu"]);
        fs::create_dir(root.path().join("unified")).unwrap();
        fs::write(root.path().join("unified/cgroup.controllers"), "hugetlb\n").unwrap();
        let cgroups = Cgroups::look(root.path());
        assert!(cgroups.hide_unified && !cgroups.unified);
        assert_eq!(cgroups.not_enforced(), [] as [&str; 0]);
    }

    #[test]
    fn a_lent_cgroup_is_emptied_into_a_leaf_and_gives_its_controllers_on() {
        let root = version_2("cpu memory pids\n");
        let unit = root.path().join("system.slice/danube-executor.service");
        fs::create_dir_all(&unit).unwrap();
        fs::write(unit.join("cgroup.procs"), "41\n42\n").unwrap();
        let mut cgroups = Cgroups::look(root.path());
        let own = "0::/system.slice/danube-executor.service\n";
        cgroups.settle(root.path(), own, |dir| dir == unit);
        assert_eq!(cgroups.path("/danube-x/J"), "/system.slice/danube-executor.service/danube-x/J");
        assert_eq!(cgroups.counters("/danube-x/J"), [unit.join("danube-x/J")]);
        assert_eq!(fs::read_to_string(unit.join("executor/cgroup.procs")).unwrap(), "42", "the last that moved");
        assert_eq!(fs::read_to_string(unit.join("cgroup.subtree_control")).unwrap(), "+cpu", "the last that was given");
    }

    #[test]
    fn the_leaf_of_an_earlier_life_is_found_again_and_what_is_not_lent_is_left_alone() {
        let root = version_2("cpu memory pids\n");
        let unit = root.path().join("system.slice/d.service");
        fs::create_dir_all(&unit).unwrap();
        fs::write(unit.join("cgroup.procs"), "").unwrap();
        let mut cgroups = Cgroups::look(root.path());
        cgroups.settle(root.path(), "0::/system.slice/d.service/executor\n", |dir| dir == unit);
        assert_eq!(cgroups.path("/x"), "/system.slice/d.service/x");
        let mut by_hand = Cgroups::look(root.path());
        by_hand.settle(root.path(), "0::/user.slice/session-1.scope\n", |_| false);
        assert_eq!(by_hand.path("/x"), "/x");
    }

    #[test]
    fn version_2_kills_a_whole_cgroup_by_one_write() {
        let root = version_2("pids\n");
        let cgroup = root.path().join("danube-x/J");
        fs::create_dir_all(&cgroup).unwrap();
        Cgroups::look(root.path()).kill("/danube-x/J");
        assert_eq!(fs::read_to_string(cgroup.join("cgroup.kill")).unwrap(), "1");
    }

    #[test]
    fn processes_are_found_and_empty_cgroups_removed_at_any_depth() {
        let root = version_2("pids\n");
        fs::create_dir_all(root.path().join("danube-x/J/1.1/deep")).unwrap();
        let cgroups = Cgroups::look(root.path());
        assert_eq!(cgroups.below("/danube-x"), ["J"]);
        fs::write(root.path().join("danube-x/J/1.1/cgroup.procs"), "7\n").unwrap();
        assert_eq!(cgroups.processes("/danube-x"), [7]);
        assert!(!cgroups.remove("/danube-x"), "one is not empty");
        fs::remove_file(root.path().join("danube-x/J/1.1/cgroup.procs")).unwrap();
        assert!(cgroups.remove("/danube-x") && !cgroups.exists("/danube-x"));
    }
}
