//! What git leaves behind when it is killed, or outlives the program that started it.
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

/// Ends every git that still works below `dir`: whoever started it is dead. Call only under a lock that proves it.
pub fn end_orphans(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut ended = Vec::new();
    for entry in entries {
        let Some(pid) = entry.file_name().to_str().and_then(|name| Pid::from_raw(name.parse().ok()?)) else { continue };
        // Only of the same user, or not to be read.
        let works_here = fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let name = name.trim();
        if works_here && (name.starts_with("git") || name == "ssh") && kill_process(pid, Signal::KILL).is_ok() {
            ended.push(format!("{name} ({})", pid.as_raw_nonzero()));
        }
    }
    ended
}

/// Removes locks and halves of packs from a bare repository: with its lock no later fetch would go.
/// Only while no git works there.
pub fn remove_halves(repository: &Path) -> Vec<PathBuf> {
    let mut removed = Vec::new();
    let mut dirs = vec![repository.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let half = name.ends_with(".lock") || name.starts_with("tmp_");
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => dirs.push(entry.path()),
                Ok(kind) if kind.is_file() && half && fs::remove_file(entry.path()).is_ok() => {
                    removed.push(entry.path());
                }
                _ => {}
            }
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_and_halves_of_packs_go_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["objects/pack/tmp_pack_1", "packed-refs.lock", "refs/heads/a.lock", "refs/heads/a", "HEAD"] {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), "").unwrap();
        }
        let mut removed = remove_halves(dir.path());
        removed.sort();
        assert_eq!(removed, [at("objects/pack/tmp_pack_1"), at("packed-refs.lock"), at("refs/heads/a.lock")]);
        assert!(at("refs/heads/a").exists() && at("HEAD").exists());
    }
}
