//! Whatever a step makes of its processes, all of them are gone when its end is told.
mod endings;
mod runtime;

use std::fs;
use std::path::{Path, PathBuf};

/// The processes whose cgroups have this word in their path: all that a job, or an attempt, has.
fn processes(word: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let ours = entries.filter(|entry| {
        let text = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        text.lines().any(|line| line.contains("/danube-") && line.contains(word))
    });
    let line = |entry: &fs::DirEntry| fs::read(entry.path().join("cmdline")).unwrap_or_default();
    ours.map(|e| format!("{:?} {}", e.file_name(), String::from_utf8_lossy(&line(&e)).replace('\0', " "))).collect()
}

/// The cgroups that have this word in their path, in every hierarchy.
fn cgroups(word: &str) -> Vec<PathBuf> {
    fn look(dir: &Path, depth: u32, word: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = entry.path();
            if path.to_string_lossy().contains(word) {
                found.push(path);
            } else if depth < 3 {
                look(&path, depth + 1, word, found);
            }
        }
    }
    let mut found = Vec::new();
    look(Path::new("/sys/fs/cgroup"), 0, word, &mut found);
    found
}

#[track_caller]
fn nothing_lives(word: &str) {
    let left = processes(word);
    assert!(left.is_empty(), "still alive: {left:#?}");
}
