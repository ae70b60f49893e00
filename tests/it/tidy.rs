//! Rules of the tree that a reader relies on.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms in the order of the flow: one uses only those before it.
const ROOMS: [&str; 22] = [
    "model",
    "platform",
    "config",
    "store",
    "secrets",
    "mirror",
    "logs",
    "artifacts",
    "junit",
    "provenance",
    "config_repo",
    "queue",
    "trigger",
    "egress",
    "images",
    "registry",
    "executor",
    "orchestrator",
    "coordinator",
    "auth",
    "web",
    "cli",
];

const TOP: [&str; 20] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "clippy.toml",
    "danubefile.py",
    "debian",
    "deny.toml",
    "image",
    "k3s-manifests",
    "proto",
    "rpm",
    "sdk",
    "src",
    "static",
    "templates",
];

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files that git tracks or would track, from the top.
fn files() -> Vec<PathBuf> {
    let output = std::process::Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard"])
        .current_dir(top())
        .output()
        .expect("git lists the tree");
    let text = String::from_utf8(output.stdout).expect("names are text");
    text.lines().map(PathBuf::from).filter(|p| top().join(p).is_file()).collect()
}

fn sources() -> Vec<(PathBuf, String)> {
    files()
        .into_iter()
        .filter(|p| p.extension().is_some_and(|e| e == "rs"))
        .map(|p| {
            let text = fs::read_to_string(top().join(&p)).expect("a source is text");
            (p, text)
        })
        .collect()
}

#[test]
fn the_top_level_is_as_agreed() {
    let allowed: BTreeSet<&str> = TOP.into_iter().chain(["tests"]).collect();
    let seen: BTreeSet<String> = files()
        .iter()
        .filter_map(|p| p.components().next())
        .map(|c| c.as_os_str().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect();
    let extra: Vec<&String> = seen.iter().filter(|name| !allowed.contains(name.as_str())).collect();
    assert!(extra.is_empty(), "not agreed at the top level: {extra:?}");
}

#[test]
fn no_file_is_longer_than_a_reader_holds() {
    let mut long = Vec::new();
    for (path, text) in sources() {
        let tests = path.starts_with("tests")
            || path.ends_with("tests.rs")
            || path.components().any(|c| c.as_os_str() == "tests");
        let generated = path.components().any(|c| c.as_os_str() == "generated");
        // Unit tests at the end of a file do not count against it.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(&text).lines().count();
        if !tests && !generated && code > 500 {
            long.push(format!("{} has {code} lines", path.display()));
        }
    }
    assert!(long.is_empty(), "split these: {long:#?}");
}

#[test]
fn a_room_uses_only_rooms_before_it() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Ok(inner) = path.strip_prefix("src") else { continue };
        let Some(room) = inner.components().next().and_then(|c| c.as_os_str().to_str()) else { continue };
        let Some(place) = ROOMS.iter().position(|r| *r == room) else { continue };
        // Unit tests may reach further, for fixtures.
        let code = text.split("#[cfg(test)]").next().unwrap_or(&text);
        if path.ends_with("tests.rs") || path.components().any(|c| c.as_os_str() == "tests") {
            continue;
        }
        for later in &ROOMS[place + 1..] {
            if code.contains(&format!("crate::{later}::")) || code.contains(&format!("crate::{{{later}")) {
                wrong.push(format!("{} uses {later}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_room_is_on_the_map() {
    let rooms: BTreeSet<String> = files()
        .iter()
        .filter_map(|p| p.strip_prefix("src").ok().map(Path::to_path_buf))
        .filter(|p| p.components().count() > 1)
        .filter_map(|p| p.components().next().map(|c| c.as_os_str().to_string_lossy().into_owned()))
        .filter(|room| room != "shim")
        .collect();
    let unknown: Vec<&String> = rooms.iter().filter(|r| !ROOMS.contains(&r.as_str())).collect();
    assert!(unknown.is_empty(), "rooms that the order does not know: {unknown:?}");
    let map = fs::read_to_string(top().join("ARCHITECTURE.md")).expect("the map is there");
    for room in rooms {
        assert!(map.contains(&format!("`{room}/`")), "ARCHITECTURE.md does not say what {room}/ is for");
    }
}

#[test]
fn sql_stands_in_the_store_alone() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if !path.starts_with("src") || path.starts_with("src/store") || path.starts_with("src/shim") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or(&text);
        for word in ["SELECT ", "INSERT INTO", "UPDATE jobs", "DELETE FROM"] {
            if code.contains(word) {
                wrong.push(format!("{} has {word:?}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_page_has_a_template_of_its_name() {
    for (path, _) in sources() {
        let Ok(page) = path.strip_prefix("src/web/pages") else { continue };
        let name = page.with_extension("");
        if name.ends_with("mod") || name.ends_with("tests") || name.components().count() > 1 {
            continue;
        }
        let template = top().join("templates").join(&name).with_extension("html");
        assert!(template.is_file(), "{} has no {}", path.display(), template.display());
    }
}

#[test]
fn nothing_is_left_unfinished_or_silenced() {
    let mut wrong = Vec::new();
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("#[ig", "nore"),
        concat!("todo", "!("),
        concat!("unimpl", "emented!("),
    ];
    for path in files() {
        let text = match path.extension().and_then(|e| e.to_str()) {
            Some("rs" | "py" | "html" | "css" | "js" | "sh") => {
                fs::read_to_string(top().join(&path)).unwrap_or_default()
            }
            _ => continue,
        };
        for word in words {
            if text.contains(word) {
                wrong.push(format!("{} has {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
