//! Many jobs through a real server, some cancelled, some that took too much: the machine is as before.
use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::machine::machine_snapshot;
use crate::support::server::{Danube, Setup, danubefile, until};

/// The kinds of jobs, one after the other; every tenth is cancelled while it runs.
const KINDS: [&str; 10] =
    ["short", "two", "short", "memory", "short", "forks", "short", "output", "fails", "cancelled"];

const BODY: [&str; 14] = [
    "kind = ctx.params['kind']",
    "if kind == 'two':",
    "    step.parallel(lambda: step.run('echo a > a', name='a', image='host'), lambda: step.run('true', name='b', image='host'))",
    "elif kind == 'memory':",
    "    step.run('exec python3 -c \"b = bytearray(1 << 30)\"', name='memory', image='host', memory='32MiB')",
    "elif kind == 'forks':",
    "    step.run('i=0; while [ $i -lt 400 ]; do sleep 60 & i=$((i+1)); done', name='forks', image='host')",
    "elif kind == 'output':",
    "    step.run('yes', name='output', image='host')",
    "elif kind == 'fails':",
    "    step.run('exit 3', name='fails', image='host')",
    "elif kind == 'cancelled':",
    "    step.run('(setsid sleep 600 &); trap \"\" TERM; touch up; sleep 600', name='waits', image='host')",
    "step.run('echo x > /tmp/x; touch made', name='last', image='host')",
];

const PIPELINE: &str = "  triggers: [{on: manual}]
  params:
    - {name: kind, type: string, default: ''}
";

/// How each kind ends, with a part of its reason.
fn wanted(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "memory" => ("failure", "out of memory: its limit is 32 MiB"),
        "forks" => ("failure", "it reached its limit of 100 processes"),
        "output" => ("failure", "it wrote more than 4 MiB of output"),
        "fails" => ("failure", "exit code 3"),
        "cancelled" => ("cancelled", "cancelled by local-admin"),
        _ => ("success", ""),
    }
}

/// What the machine and the executor's own directories show of this server.
fn shown(server: &Danube) -> BTreeSet<String> {
    let mut lines: BTreeSet<String> =
        machine_snapshot().into_iter().filter(|line| line.contains(server.instance())).collect();
    tree(&server.tree().join("jobs"), &mut lines);
    for lease in std::fs::read_dir("/run/danube/uids").into_iter().flatten().flatten() {
        let holder = std::fs::read_to_string(lease.path()).unwrap_or_default();
        lines.extend(holder.contains(server.instance()).then(|| format!("lease: {holder}")));
    }
    lines
}

fn tree(dir: &Path, lines: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        lines.insert(format!("file: {}", entry.path().display()));
    }
}

#[test]
fn after_many_jobs_the_machine_is_as_before() {
    let count = if std::env::var_os("DANUBE_LONG").is_some() { 200 } else { 20 };
    let mut server = Danube::prepared(&Setup {
        files: &[("danubefile.py", &danubefile(&BODY))],
        pipeline: PIPELINE,
        global: "  concurrency: {max_running_jobs: 4}\n",
    });
    let toml = std::fs::read_to_string(server.toml()).unwrap();
    let limits = "keep_workspaces_for = \"0\"\n\n[executor.limits]\npids = 100\nmax_log_bytes = \"4MiB\"\n";
    let toml = toml.replace("host_image = true\n", &format!("host_image = true\n{limits}"));
    std::fs::write(server.toml(), toml).unwrap();
    server.start();
    // With its first job an instance gets a cgroup, which goes with the executor.
    server.ended(&begin(&server, "short"));
    let before = quiet(&server, BTreeSet::new());
    let jobs: Vec<(&str, String)> =
        KINDS.iter().cycle().take(count).map(|kind| (*kind, begin(&server, kind))).collect();
    for (_, job) in jobs.iter().filter(|(kind, _)| *kind == "cancelled") {
        until("the job to be cancelled runs", || server.workspace(job).join("up").exists().then_some(()));
        server.post(&format!("/api/v1/jobs/{job}/cancel"), &Value::Null).with(202);
    }
    for (kind, job) in &jobs {
        let ended = server.ended(job);
        let (status, reason) = wanted(kind);
        let why = ended["reason"].as_str().unwrap_or_default();
        assert!(ended["status"] == status && why.contains(reason), "{kind}: {ended:#}");
        assert_eq!(ended["workspace"]["held_by"], "watch", "{ended:#}");
    }
    let after = quiet(&server, before.clone());
    let left: Vec<&String> = after.symmetric_difference(&before).collect();
    assert!(left.is_empty(), "not as before: {left:#?}");
}

/// What is shown once it is as wanted, or does not change for seconds: what ended is cleared away in the background.
fn quiet(server: &Danube, wanted: BTreeSet<String>) -> BTreeSet<String> {
    let (mut last, mut same) = (shown(server), 0);
    while last != wanted && same < 20 {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let now = shown(server);
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}

fn begin(server: &Danube, kind: &str) -> String {
    let body = json!({ "params": { "kind": kind } });
    let made = server.post("/api/v1/pipelines/app/trigger", &body).with(201);
    made["id"].as_str().unwrap().to_owned()
}
