//! The API held against its own document by a fuzzer that is not ours.
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::http::Door;
use crate::support::server::{Danube, Setup, TRIGGERS, danubefile};

/// What the fuzzer may not find: an answer that the document does not describe, or a 5xx.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,unsupported_method,ignored_auth";
/// Requests for each way to break an operation: the phases together send some thousand.
const EXAMPLES: &str = "5";

/// A report of tests.
const REPORT: &str =
    "<testsuite><testcase name='a'/><testcase name='b'><failure message='boom'/></testcase></testsuite>";

/// A server with a job that has something of everything, and a token for it.
struct World {
    server: Danube,
    dir: tempfile::TempDir,
    token: String,
    /// The address of the document; a test may have put a file in its place.
    document: String,
}

impl World {
    fn new() -> Self {
        let file = danubefile(&[
            "step.run('echo one; echo FAIL >&2', name='make', image='host')",
            "tests.junit('report.xml', name='unit')",
            "artifacts.upload('report.xml', name='report')",
            "annotate('**done**')",
        ]);
        // What the fuzzer starts runs one after the other, and leaves the machine to it.
        let server = Danube::with(&Setup {
            files: &[("danubefile.py", &file), ("report.xml", REPORT)],
            pipeline: TRIGGERS,
            global: "  concurrency: {max_running_jobs: 1}\n",
        });
        let token = server.post("/api/v1/tokens", &json!({ "name": "fuzzer" })).with(201);
        let Door::Network(address) = server.network() else { panic!("the network's door is an address") };
        Self {
            server,
            dir: tempfile::tempdir().unwrap(),
            token: token["token"].as_str().unwrap().to_owned(),
            document: format!("http://{address}/api/v1/openapi.json"),
        }
    }

    /// Fills parameters of paths with what is there: without, hardly a request goes behind a 404.
    fn with_what_is_there(&self) {
        let job = self.server.trigger();
        self.server.succeeds(&job);
        self.server.attestation(&job);
        self.server.put("/api/v1/secrets/pipeline/app/DEPLOY_KEY", b"a long enough value").with(204);
        let of = |start: &str, known: &Value| {
            let known: Vec<String> = known
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| format!("\"path.{name}\" = {value}"))
                .collect();
            format!("[[operations]]\ninclude-path-regex = \"^{start}\"\nparameters = {{ {} }}\n", known.join(", "))
        };
        let known = [
            of("/api/v1/jobs/", &json!({ "id": job, "n": 1, "name": "report" })),
            of("/api/v1/pipelines/", &json!({ "name": "app" })),
            of("/api/v1/secrets/\\\\{", &json!({ "scope": "pipeline", "owner": "app" })),
            of("/webhooks/", &json!({ "forge": "github", "name": "default" })),
        ];
        fs::write(self.dir.path().join("schemathesis.toml"), known.concat()).unwrap();
    }

    /// Sends what the phases make for the addresses that match.
    fn fuzz(&self, phases: &str, addresses: &str) -> Output {
        let python =
            std::env::var_os("DANUBE_TEST_PYTHON").expect("DANUBE_TEST_PYTHON names the Python of `make venv`");
        let Door::Network(address) = self.server.network() else { panic!("the network's door is an address") };
        Command::new(python)
            .args(["-m", "schemathesis.cli", "run", &self.document, "--url", &format!("http://{address}")])
            .args(["--header", &format!("Authorization: Bearer {}", self.token), "--checks", CHECKS])
            // The same requests each time, and no search for a smaller one that fails too.
            .args(["--phases", phases, "--max-examples", EXAMPLES, "--generation-deterministic", "--no-shrink"])
            .args(["--workers", "1", "--no-color", "--request-timeout", "60", "--suppress-health-check", "all"])
            .args(["--warnings", "off", "--continue-on-failure", "--include-path-regex", addresses])
            .current_dir(self.dir.path())
            .env("HOME", self.dir.path())
            .output()
            .unwrap()
    }

    #[track_caller]
    fn finds_nothing(&self, phases: &str, addresses: &str) {
        let output = self.fuzz(phases, addresses);
        let said = String::from_utf8_lossy(&output.stdout);
        let failed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{failed}\n{}", self.server.log_tail());
        assert!(said.contains("passed"), "nothing was tested: {said}\n{failed}");
    }
}

/// The document without what one operation answers.
fn spoiled(world: &World, dir: &Path) -> String {
    let mut document = world.server.get("/api/v1/openapi.json").with(200);
    let jobs = &mut document["paths"]["/api/v1/jobs"];
    jobs["get"]["responses"].as_object_mut().unwrap().remove("400").unwrap();
    document["paths"] = json!({ "/api/v1/jobs": jobs.clone() });
    let path = dir.join("spoiled.json");
    fs::write(&path, document.to_string()).unwrap();
    path.display().to_string()
}

#[test]
fn a_fuzzer_finds_no_answer_that_the_document_does_not_describe() {
    let mut world = World::new();
    world.finds_nothing("coverage", "[{]");
    world.with_what_is_there();
    world.finds_nothing("coverage,fuzzing", "/");
    // And it does find what is not described: else the above would say nothing.
    world.document = spoiled(&world, world.dir.path());
    let output = world.fuzz("coverage", "/");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.contains("Undocumented status code"), "{said}");
}
