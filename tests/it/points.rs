//! Fault points: whatever becomes durable has one, and every point has a name of its own.
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// All names, one a line; the chaos harness must meet each.
const GOLDEN: &str = "tests/it/points.golden";

/// Writes that need no point, and why: a file or folder, or one function of a file.
const WITHOUT: [(&str, &str); 32] = [
    ("src/shim/src/sys.rs:silence", "opens /dev/null"),
    ("src/artifacts/writer.rs:create_temp", "nobody knows of it before the commit"),
    ("src/cli/bench", "measures; a server of its own is thrown away"),
    ("src/cli/demo", "made for a look and thrown away"),
    ("src/cli/executor.rs:listen", "a socket's name, on tmpfs"),
    ("src/cli/ground", "made for a look and thrown away"),
    ("src/cli/init.rs", "a person's new files, told at once"),
    ("src/cli/job/artifacts.rs", "a download of a person, told at once"),
    ("src/cli/man.rs", "made by a package's build"),
    ("src/cli/privileges.rs:free_uid", "a lock file, which holds nothing"),
    ("src/cli/privileges.rs:open_own", "a lock file"),
    ("src/cli/privileges.rs:start_executor_in", "the executor's log"),
    ("src/cli/run.rs", "a .gitignore, written again by the next run"),
    ("src/cli/serve.rs:make_data_dir", "a probe, removed at once"),
    ("src/executor/local/cgroup.rs", "files of the kernel"),
    ("src/executor/local/etc.rs", "files of a container, made anew for each attempt that was not started"),
    ("src/executor/local/net", "the kernel's, and marks of it on tmpfs: gone together with the machine's start"),
    ("src/executor/local/rootfs.rs", "a container's skeleton, made anew for each attempt that was not started"),
    ("src/executor/local/rootless.rs", "files of /proc"),
    ("src/executor/local/roots.rs:namespace_of", "files of /proc"),
    ("src/executor/local/start.rs:hold", "a lock file"),
    ("src/executor/local/step.rs:launch", "what a shim complains of, read at once"),
    ("src/executor/local/transfer.rs", "a helper's bundle, made anew for each call"),
    ("src/executor/local/tools.rs", "a copy of root's own image, made again where it is missing"),
    ("src/executor/local/uids.rs:locked", "a lock file"),
    ("src/mirror/scratch.rs", "without a name, or swept at the next start"),
    ("src/platform/atomic.rs", "called with the point of its caller"),
    ("src/platform/data_dir.rs:probe", "a probe, removed at once"),
    ("src/shim/src/fault.rs", "the list of hits"),
    ("src/shim/src/helper", "the workspace, which counts once `ready` is there"),
    ("src/shim/src/init", "a container's tmpfs"),
    ("src/shim/src/step/mod.rs:take_on", "a lock file"),
];

/// What makes something durable, as it stands in a source.
const WRITES: [&str; 10] = [
    ".sync_all()",
    ".sync_data()",
    "fs::rename(",
    "sys::rename_at(",
    "fs::write(",
    "File::create",
    ".write(true)",
    ".append(true)",
    "init_bare(",
    "init_opts(",
];

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sources without their tests.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut dirs = vec![top().join("src")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(top()).unwrap().to_str().unwrap().to_owned();
            let tests = ["tests", "testing.rs", "tests.rs", "fixture.rs", "simulation.rs", "golden.rs"];
            if tests.iter().any(|part| path.file_name().is_some_and(|name| name == *part)) {
                continue;
            }
            if path.is_dir() {
                dirs.push(path);
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
                found.push((name, code));
            }
        }
    }
    found
}

/// The room of a source: the first folder of its path.
fn room(path: &str) -> &str {
    path.strip_prefix("src/").and_then(|rest| rest.split('/').next()).unwrap_or("")
}

/// The names of points in a source: literals `"room.what"` that are an argument of a write or a name of their own.
fn names(path: &str, code: &str) -> Vec<String> {
    let start = format!("\"{}.", room(path));
    let mut found = Vec::new();
    for (at, _) in code.match_indices(&start) {
        let name = code[at + 1..].split('"').next().unwrap();
        let before = code[..at].trim_end();
        let called = ["write(", "write_blocking(", "around(", "before(", "replace(", "write_json("];
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.');
        if plain && (before.ends_with('=') || called.iter().any(|call| before.ends_with(call))) {
            found.push(name.to_owned());
        }
    }
    found
}

/// The functions of a source, each with the number of its first line.
fn functions(code: &str) -> Vec<(usize, String)> {
    let mut found = vec![(1, String::new())];
    for (n, line) in code.lines().enumerate() {
        let words = line.trim_start().trim_start_matches("pub ").trim_start_matches("async ");
        if words.starts_with("fn ") || (line.trim_start().starts_with("pub(") && line.contains(" fn ")) {
            found.push((n + 1, String::new()));
        }
        let last = &mut found.last_mut().unwrap().1;
        last.push_str(line);
        last.push('\n');
    }
    found
}

/// The name of the function that a text begins with.
fn called(body: &str) -> &str {
    let rest = body.split_once("fn ").map_or("", |(_, rest)| rest);
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("")
}

fn without(place: &str) -> bool {
    WITHOUT.iter().any(|(known, _)| match known.contains(':') {
        true => place == *known,
        false => place.starts_with(known),
    })
}

#[test]
fn every_point_has_one_place_and_stands_in_the_list() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, code) in sources() {
        for name in names(&path, &code) {
            places.entry(name).or_default().push(path.clone());
        }
    }
    let twice: Vec<_> = places.iter().filter(|(_, at)| at.len() > 1).collect();
    assert!(twice.is_empty(), "names of fault points that stand at several places: {twice:#?}");
    let now: String = places.keys().map(|name| format!("{name}\n")).collect();
    let file = top().join(GOLDEN);
    if std::env::var_os("DANUBE_BLESS").is_some() {
        fs::write(&file, &now).unwrap();
    }
    let golden = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        golden == now,
        "{GOLDEN} differs; DANUBE_BLESS=1, and extend the chaos harness until it meets them:\n{now}"
    );
}

#[test]
fn whatever_becomes_durable_names_its_point() {
    let mut bare = Vec::new();
    for (path, code) in sources() {
        if without(&path) {
            continue;
        }
        for (line, body) in functions(&code) {
            let writes: Vec<_> = WRITES.iter().filter(|what| body.contains(**what)).collect();
            if !writes.is_empty() && !body.contains("fault::") && !without(&format!("{path}:{}", called(&body))) {
                bare.push(format!("{path}:{line} has {writes:?}"));
            }
        }
        // A literal stands there: the compiler asks for an argument, this asks for a name.
        for call in [".write(", ".write_blocking("] {
            for (at, _) in code.match_indices(call) {
                let rest = code[at + call.len()..].trim_start();
                let until = rest.find("Durability::").filter(|end| *end < 80);
                if until.is_some() && !rest.starts_with(&format!("\"{}.", room(&path))) {
                    bare.push(format!("{path}: {}", rest.lines().next().unwrap_or_default()));
                }
            }
        }
        if room(&path) == "store" && code.contains("\"COMMIT\"") && path != "src/store/writer.rs" {
            bare.push(format!("{path} commits by itself"));
        }
        // Readers have one that never commits.
        let reads = path == "src/store/readers.rs";
        if !reads && code.contains(".transaction(") || code.contains("unchecked_transaction(") {
            bare.push(format!("{path} has a transaction of its own"));
        }
    }
    assert!(bare.is_empty(), "these have no fault point: {bare:#?}");
    let gone: Vec<_> =
        WITHOUT.iter().filter(|(path, _)| !top().join(path.split(':').next().unwrap()).exists()).collect();
    assert!(gone.is_empty(), "exceptions for what is not there: {gone:?}");
}
