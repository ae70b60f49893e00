//! One danubefile at one commit, by `danube run` and on a server: the same steps, logs and artifacts.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use crate::support::server::{Danube, Setup, TRIGGERS, head};
use crate::support::{danube, shim};

const TOKEN: &str = "a-token-to-publish-with";

/// What must not differ: for each step its place in the danubefile and its end.
fn tree(steps: &[Value]) -> BTreeSet<String> {
    let text = |step: &Value, name: &str| step[name].as_str().unwrap_or_default().to_owned();
    steps
        .iter()
        .filter(|step| step["seq"] != 0)
        .map(|step| {
            let [branch, key, name, status, cause] =
                ["branch", "key", "name", "status", "cause"].map(|n| text(step, n));
            format!("{branch} {key} '{name}' {status} {cause} {} attempt {}", step["exit_code"], step["attempt"])
        })
        .collect()
}

fn digests(steps: &[Value]) -> BTreeMap<String, String> {
    let kept = ["compile", "version", "package"];
    let of = |step: &Value, name: &str| step[name].as_str().unwrap_or_default().to_owned();
    steps
        .iter()
        .filter(|step| kept.contains(&step["name"].as_str().unwrap()))
        .map(|step| (of(step, "name"), of(step, "log_sha256")))
        .collect()
}

/// The steps of a server's job with their journal keys, which no API shows.
fn rows(server: &Danube, job: &str) -> Vec<Value> {
    let db = server.database();
    let read = "SELECT json_object('seq', seq, 'attempt', attempt, 'branch', branch, 'key', key, 'name', name, 'status', \
                status, 'cause', cause, 'exit_code', exit_code, 'log_sha256', log_sha256) FROM steps WHERE job_id = ?1";
    let mut query = db.prepare(read).unwrap();
    let found = query.query_map([job], |row| row.get::<_, String>(0)).unwrap();
    found.map(|text| serde_json::from_str(&text.unwrap()).unwrap()).collect()
}

#[test]
fn a_run_and_a_server_do_the_same() {
    let example = include_str!("../../fixtures/example_core.py");
    let server = Danube::with(&Setup {
        files: &[
            ("danubefile.py", example),
            ("VERSION", "2.0.1\n"),
            ("pyproject.toml", "[project]\nname = \"app\"\nversion = \"2.0.1\"\n"),
            ("src/app/__init__.py", "def double(n: int) -> int:\n    return 2 * n\n"),
            ("tests/__init__.py", ""),
            (
                "tests/test_app.py",
                "import unittest\n\n\nclass App(unittest.TestCase):\n    def test_two(self):\n        \
                 self.assertEqual(1 + 1, 2)\n",
            ),
        ],
        pipeline: &format!("{TRIGGERS}  secrets: [{{key: PUBLISH_TOKEN, branches: [main]}}]\n"),
        global: "",
    });
    server.put("/api/v1/secrets/global/PUBLISH_TOKEN", TOKEN.as_bytes()).with(204);
    let id = server.trigger();
    let job = server.succeeds(&id);

    let secrets = server.path("secrets");
    fs::write(&secrets, format!("PUBLISH_TOKEN={TOKEN}\n")).unwrap();
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).unwrap();
    let output = Command::new(danube())
        .args(["run", "--json", "--secrets"])
        .arg(&secrets)
        .arg("--data-dir")
        .arg(server.path("run-data"))
        .arg(server.app())
        .env("DANUBE_SHIM", shim())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(run["commit"], job["commit"]);
    assert_eq!(run["commit"].as_str(), Some(head(&server.app()).as_str()));

    let (of_server, of_run) = (rows(&server, &id), run["steps"].as_array().unwrap().clone());
    assert_eq!(tree(&of_server), tree(&of_run));
    assert_eq!(tree(&of_server).len(), 7, "{:#?}", tree(&of_server));
    let logs = digests(&of_server);
    assert!(logs.len() == 3 && logs.values().all(|sha256| sha256.len() == 64), "{logs:?}");
    assert_eq!(logs, digests(&of_run));
    let stored = server.get(&format!("/api/v1/jobs/{id}/artifacts")).with(200);
    assert_eq!(stored["artifacts"][0]["name"], "package");
    assert_eq!(stored["artifacts"][0]["sha256"], run["artifacts"][0]["sha256"]);
    let shown = server.get(&format!("/api/v1/jobs/{id}/log")).text();
    assert!(!shown.contains(TOKEN));
}
