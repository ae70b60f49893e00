//! The config repo while the server runs, and a secret that was damaged.
use rusqlite::params;
use serde_json::Value;

use crate::support::repo::{commit, git};
use crate::support::server::{Danube, Setup, TRIGGERS, danubefile};

#[test]
fn a_commit_with_mistakes_changes_nothing_and_is_shown() {
    let server = Danube::building(&["step.run('true', name='make', image='host')"]);
    let good = server.get("/api/v1/config/status").with(200)["in_force"]["commit"].clone();
    let broken = server.pipeline_document("app", &format!("{TRIGGERS}  max_duration_second: 5\n"));
    let sha = server.configure(&[("pipelines/app.yaml", &broken)]);
    let status = server.get("/api/v1/config/status").with(200);
    assert_eq!((&status["ok"], &status["in_force"]["commit"]), (&Value::Bool(false), &good));
    let error = &status["errors"][0];
    assert_eq!((error["file"].as_str(), error["line"].as_u64()), (Some("pipelines/app.yaml"), Some(7)), "{error:#}");
    let told = format!("{} {}", error["message"], error["fix"]);
    assert!(told.contains("max_duration_second") && told.contains("max_duration_seconds"), "{told}");
    let output = server.danube(&["config", "status"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && said.contains(&sha) && said.contains("pipelines/app.yaml:7"), "{said}");
    let job = server.succeeds(&server.trigger());
    assert_eq!(job["config_commit"], good);

    let repaired = server.configure(&[("pipelines/app.yaml", &server.pipeline_document("app", TRIGGERS))]);
    let status = server.get("/api/v1/config/status").with(200);
    assert_eq!((&status["ok"], status["in_force"]["commit"].as_str()), (&Value::Bool(true), Some(repaired.as_str())));
}

#[test]
fn a_pipeline_comes_and_goes_with_the_config_repo_and_its_jobs_stay() {
    let server = Danube::building(&["step.run('true', name='make', image='host')"]);
    commit(&server.conf(), &[("pipelines/second.yaml", &server.pipeline_document("second", TRIGGERS))], "second");
    let output = server.danube(&["sync"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let id = server.trigger_of("second");
    server.succeeds(&id);

    std::fs::remove_file(server.conf().join("pipelines/second.yaml")).unwrap();
    server.configure(&[]);
    let names: Vec<Value> = server.get("/api/v1/pipelines").with(200)["pipelines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pipeline| pipeline["name"].clone())
        .collect();
    assert_eq!(names, ["app"]);
    let refused = server.post("/api/v1/pipelines/second/trigger", &Value::Null);
    assert!(refused.status == 404 || refused.status == 409, "{} {}", refused.status, refused.text());
    assert_eq!(server.job(&id)["pipeline"], "second");
    assert!(!server.attestation(&id).is_empty());
    server.succeeds(&server.trigger());
    assert!(git(&server.conf(), &["status", "--short"]).is_empty(), "the server writes nothing into the config repo");
}

#[test]
fn a_damaged_secret_fails_the_job_that_asks_for_it_and_no_other() {
    let file = danubefile(&[
        "step.run('test \"$T\" = hunter22-secret', name='use', image='host', env={'T': secrets.get('TOKEN')})",
    ]);
    let plain = danubefile(&["step.run('true', name='make', image='host')"]);
    let server = Danube::with(&Setup {
        files: &[("danubefile.py", &file), ("plain.py", &plain)],
        pipeline: &format!("{TRIGGERS}  secrets: [{{key: TOKEN}}]\n"),
        global: "",
    });
    let other =
        server.pipeline_document("plain", &format!("{TRIGGERS}  script: plain.py\n  secrets: [{{key: TOKEN}}]\n"));
    server.configure(&[("pipelines/plain.yaml", &other)]);
    server.put("/api/v1/secrets/global/TOKEN", b"hunter22-secret").with(204);
    server.succeeds(&server.trigger());

    let db = server.database();
    let read = "SELECT value_encrypted FROM secrets WHERE key = 'TOKEN'";
    let mut value: Vec<u8> = db.query_row(read, [], |row| row.get(0)).unwrap();
    let middle = value.len() / 2;
    value[middle] ^= 1;
    db.execute("UPDATE secrets SET value_encrypted = ?1 WHERE key = 'TOKEN'", params![value]).unwrap();

    let id = server.trigger();
    let job = server.ended(&id);
    assert_eq!(job["status"], "failure", "{job:#}");
    let told = format!("{} {}", job["reason"], server.get(&format!("/api/v1/jobs/{id}/log")).text());
    assert!(told.contains("TOKEN") && told.contains("damaged") && told.contains("danube secret set"), "{told}");
    server.succeeds(&server.trigger_of("plain"));
    server.put("/api/v1/secrets/global/TOKEN", b"hunter22-secret").with(204);
    server.succeeds(&server.trigger());
}
