//! Counting kills for lack of memory.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// The counters of a step's cgroups, opened while that is still allowed.
pub(super) struct Counters(Vec<File>);

impl Counters {
    /// Opens what there is: cgroup v1 counts in one file, v2 in another.
    pub(super) fn open(cgroups: &[PathBuf]) -> Self {
        let names = ["memory.oom_control", "memory.events"];
        let files = cgroups.iter().flat_map(|cgroup| names.map(|name| cgroup.join(name)));
        Self(files.filter_map(|path| File::open(path).ok()).collect())
    }

    /// The kills so far; 0 where nothing counts.
    pub(super) fn read(&self) -> u64 {
        let counts = self.0.iter().filter_map(|file| {
            let mut text = [0; 4096];
            let length = file.read_at(&mut text, 0).ok()?;
            kills(str::from_utf8(&text[..length]).ok()?)
        });
        counts.max().unwrap_or(0)
    }
}

fn kills(text: &str) -> Option<u64> {
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
    count.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_found_in_the_files_of_both_cgroup_versions() {
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), Some(2));
        assert_eq!(kills("low 0\nmax 31\noom 1\noom_kill 1\noom_group_kill 0\n"), Some(1));
        assert_eq!(kills("low 0\n"), None);
    }

    #[test]
    fn where_nothing_counts_there_are_no_kills() {
        assert_eq!(Counters::open(&["/nonexistent".into()]).read(), 0);
    }
}
