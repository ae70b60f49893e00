//! The API held against its own document by a fuzzer that is not ours.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::http::Door;
use crate::support::server::Danube;

/// What the fuzzer may not find: an answer that the document does not describe, or a 5xx.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,unsupported_method,ignored_auth";

fn fuzzer() -> PathBuf {
    let python = std::env::var_os("DANUBE_TEST_PYTHON").expect("DANUBE_TEST_PYTHON names the Python of `make venv`");
    let fuzzer = Path::new(&python).with_file_name("schemathesis");
    assert!(fuzzer.exists(), "{} is missing: run `make venv`", fuzzer.display());
    fuzzer
}

/// Runs the fuzzer; `known` fills parameters of paths with what is there.
fn fuzz(server: &Danube, token: &str, dir: &Path, known: &Value) {
    let Door::Network(address) = server.network() else { panic!("the network's door is an address") };
    let config: String =
        known.as_object().into_iter().flatten().map(|(name, value)| format!("\"path.{name}\" = {value}\n")).collect();
    fs::write(dir.join("schemathesis.toml"), format!("[parameters]\n{config}")).unwrap();
    let output = Command::new(fuzzer())
        .args(["run", &format!("http://{address}/api/v1/openapi.json"), "--url", &format!("http://{address}")])
        .args(["--header", &format!("Authorization: Bearer {token}"), "--checks", CHECKS])
        .args([
            "--phases",
            "coverage,fuzzing",
            "--max-examples",
            "8",
            "--generation-deterministic",
            "--generation-database",
            "none",
        ])
        .args(["--workers", "1", "--no-color", "--request-timeout", "60", "--suppress-health-check", "all"])
        // It never ends while its job runs; what it sends is held by tests of its own.
        .args(["--exclude-path-regex", "/events$"])
        .current_dir(dir)
        .env("HOME", dir)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}\n{}", String::from_utf8_lossy(&output.stderr), server.log_tail());
}

#[test]
fn a_fuzzer_finds_no_answer_that_the_document_does_not_describe() {
    let server = Danube::building(&["step.run('echo one', name='make', image='host')"]);
    let job = server.trigger();
    server.succeeds(&job);
    server.attestation(&job);
    server.put("/api/v1/secrets/pipeline/app/DEPLOY_KEY", b"a long enough value");
    let token = server.post("/api/v1/tokens", &json!({ "name": "fuzzer" })).with(201);
    let token = token["token"].as_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    fuzz(&server, token, dir.path(), &json!({}));
    let known = json!({ "id": job, "n": 1, "scope": "pipeline", "owner": "app" });
    fuzz(&server, token, dir.path(), &known);
}
