//! What a machine shows of Danube: equal before a suite and after it.
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Everything global that an instance could leave behind, one line each.
pub(crate) fn machine_snapshot() -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    processes(&mut lines);
    cgroups(Path::new("/sys/fs/cgroup"), 0, &mut lines);
    for (name, args) in [("nft", &["list", "ruleset"][..]), ("ip", &["-o", "link"][..]), ("ip", &["netns", "list"][..])]
    {
        if let Ok(output) = Command::new(name).args(args).output() {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            lines.extend(text.lines().map(|l| format!("{name}: {}", stable(l))));
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("the mounts can be read");
    lines.extend(mounts.lines().filter_map(|l| l.split(' ').nth(4)).map(|m| format!("mount: {m}")));
    tree(Path::new("/run/danube"), &mut lines);
    tree(Path::new("/run/crun"), &mut lines);
    names(Path::new("/var/lib"), "danube", &mut lines);
    names(Path::new("/tmp"), "danube", &mut lines);
    names(Path::new("/var/tmp"), "danube", &mut lines);
    lines
}

/// Byte counters of links change by themselves.
fn stable(line: &str) -> String {
    line.split(" qlen").next().unwrap_or(line).to_owned()
}

fn processes(lines: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir("/proc") else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<String> = command.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect();
        let program = words.first().map(|w| w.rsplit('/').next().unwrap_or(w).to_owned()).unwrap_or_default();
        let test = words.iter().any(|w| w.contains("/deps/it-"));
        if !test && (program.starts_with("danube") || program == "crun" || words.iter().any(|w| w == "/danube/init")) {
            lines.insert(format!("process: {}", words.join(" ")));
        }
        // A process of a uid range of ours.
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let uid = status.lines().find_map(|l| l.strip_prefix("Uid:\t")?.split('\t').next()?.parse::<u32>().ok());
        if uid.is_some_and(|uid| (0x7000_0000..0x8000_0000).contains(&uid)) {
            lines.insert(format!("process of a job: {}", words.join(" ")));
        }
    }
}

fn cgroups(dir: &Path, depth: u32, lines: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        if entry.file_name().to_string_lossy().starts_with("danube") {
            lines.insert(format!("cgroup: {}", entry.path().display()));
        } else if depth < 2 {
            cgroups(&entry.path(), depth + 1, lines);
        }
    }
}

fn tree(dir: &Path, lines: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        // Lock files of leases stay: they hold nothing.
        let kept = path.starts_with("/run/danube/masters")
            || path == Path::new("/run/danube/uids")
            || path == Path::new("/run/danube/uids/lock");
        if !kept {
            lines.insert(format!("file: {}", path.display()));
        }
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            tree(&path, lines);
        }
    }
}

fn names(dir: &Path, part: &str, lines: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|e| e.file_name().to_string_lossy().contains(part)) {
        lines.insert(format!("file: {}", entry.path().display()));
    }
}
