//! Counting what a step was refused by its limits: memory, processes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// The counters of a step's cgroups, opened while that is still allowed.
pub(super) struct Counters {
    memory: Vec<File>,
    pids: Vec<File>,
}

impl Counters {
    /// Opens what there is: cgroup v1 counts kills in one file, v2 in another.
    pub(super) fn open(cgroups: &[PathBuf]) -> Self {
        let open = |names: &[&str]| {
            let files = cgroups.iter().flat_map(|cgroup| names.iter().map(move |name| cgroup.join(name)));
            files.filter_map(|path| File::open(path).ok()).collect()
        };
        Self { memory: open(&["memory.oom_control", "memory.events"]), pids: open(&["pids.events"]) }
    }

    /// The kills for lack of memory so far; 0 where nothing counts.
    pub(super) fn kills(&self) -> u64 {
        most(&self.memory, "oom_kill ")
    }

    /// How often a new process was refused so far; 0 where nothing counts.
    pub(super) fn refused(&self) -> u64 {
        most(&self.pids, "max ")
    }
}

fn most(files: &[File], name: &str) -> u64 {
    let counts = files.iter().filter_map(|file| {
        let mut text = [0; 4096];
        let length = file.read_at(&mut text, 0).ok()?;
        count(str::from_utf8(&text[..length]).ok()?, name)
    });
    counts.max().unwrap_or(0)
}

fn count(text: &str, name: &str) -> Option<u64> {
    let count = text.lines().find_map(|line| line.strip_prefix(name))?;
    count.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn counts_are_found_in_the_files_of_both_cgroup_versions() {
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", "oom_kill "), Some(2));
        assert_eq!(count("low 0\nmax 31\noom 1\noom_kill 1\noom_group_kill 0\n", "oom_kill "), Some(1));
        assert_eq!(count("low 0\n", "oom_kill "), None);
        assert_eq!(count("max 17\n", "max "), Some(17));
    }

    #[test]
    fn each_count_comes_from_its_own_file() {
        let dir = tempfile::tempdir().unwrap();
        // On version 2 both lie in one directory, and `max` stands in both.
        fs::write(dir.path().join("memory.events"), "max 31\noom_kill 1\n").unwrap();
        fs::write(dir.path().join("pids.events"), "max 2\n").unwrap();
        let counters = Counters::open(&[dir.path().to_owned()]);
        assert_eq!((counters.kills(), counters.refused()), (1, 2));
    }

    #[test]
    fn where_nothing_counts_there_is_nothing() {
        let counters = Counters::open(&["/nonexistent".into()]);
        assert_eq!((counters.kills(), counters.refused()), (0, 0));
    }
}
