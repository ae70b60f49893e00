//! What starts a job, and what a job leaves: log, artifacts, a record that verifies.
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::danube;
use crate::support::repo::commit;
use crate::support::server::{Danube, Setup, TRIGGERS, danubefile, head, until};

/// `danube verify`: its exit code and what it said.
fn verify(server: &Danube, file: &Path, envelope: &str) -> (Option<i32>, String) {
    let attestation = server.path("attestation.json");
    fs::write(&attestation, envelope).unwrap();
    let output = Command::new(danube())
        .arg("verify")
        .arg(file)
        .arg("--attestation")
        .arg(attestation)
        .arg("--key")
        .arg(server.data().join("keys/signing.key.pub"))
        .args(["--source", &format!("file://{}", server.app().display())])
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn artifact(server: &Danube, job: &str, name: &str) -> std::path::PathBuf {
    let reply = server.get(&format!("/api/v1/jobs/{job}/artifacts/{name}"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let path = server.path(&format!("downloaded-{name}"));
    fs::write(&path, &reply.body).unwrap();
    path
}

#[test]
fn a_push_becomes_an_artifact_that_verifies_and_is_built_once() {
    let mut server = Danube::building(&[
        "step.run('cat src/version; mkdir dist; cp src/version dist/app', name='make', image='host')",
        "artifacts.upload('dist/app', name='app')",
    ]);
    let before = head(&server.app());
    let pushed = commit(&server.app(), &[("src/version", "1.2.3\n")], "Release");
    let answer = server.deliver("d-1", "refs/heads/main", &before, &pushed).with(202);
    assert_eq!(answer["outcome"], "received");
    let id = until("the push starts a job", || Some(server.jobs().first()?["id"].as_str().unwrap().to_owned()));
    let job = server.succeeds(&id);
    assert_eq!((job["commit"].as_str(), job["branch"].as_str()), (Some(pushed.as_str()), Some("main")));
    assert_eq!((job["trigger"].as_str(), job["event"].as_str()), (Some("webhook"), Some("push")));
    assert_eq!((job["message"].as_str(), job["number"].as_u64()), (Some("Release"), Some(1)));
    assert_eq!(server.log(&id, 1), "1.2.3\n");

    let listed = server.get(&format!("/api/v1/jobs/{id}/artifacts")).with(200);
    assert_eq!(
        (listed["artifacts"][0]["name"].as_str(), listed["artifacts"][0]["size"].as_u64()),
        (Some("app"), Some(6))
    );
    let file = artifact(&server, &id, "app");
    assert_eq!(fs::read_to_string(&file).unwrap(), "1.2.3\n");
    let envelope = server.attestation(&id);
    let (code, said) = verify(&server, &file, &envelope);
    assert_eq!(code, Some(0), "{said}");
    fs::write(&file, "1.2.4\n").unwrap();
    let (code, said) = verify(&server, &file, &envelope);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("✗ subject digest"), "{said}");

    // The forge sends again: at once, under another id, and after the server was restarted.
    let again = server.deliver("d-1", "refs/heads/main", &before, &pushed).with(200);
    assert_eq!(again["outcome"], "already received");
    server.deliver("d-2", "refs/heads/main", &before, &pushed).with(202);
    server.stop();
    server.start();
    server.deliver("d-1", "refs/heads/main", &before, &pushed).with(200);
    until("both deliveries are done with", || {
        let waiting: u32 = server
            .database()
            .query_row("SELECT count(*) FROM webhook_deliveries WHERE state = 'received'", [], |row| row.get(0))
            .unwrap();
        (waiting == 0).then_some(())
    });
    assert_eq!(server.jobs().len(), 1);
}

#[test]
fn what_a_failed_job_made_is_no_provenance() {
    let server = Danube::building(&[
        "step.run('echo built > app', name='make', image='host')",
        "artifacts.upload('app', name='good')",
        "artifacts.upload('app', name='app', when='always')",
        "step.run('echo broken >&2; exit 5', name='test', image='host')",
    ]);
    let id = server.trigger();
    let job = server.ended(&id);
    assert_eq!((job["status"].as_str(), job["failure"].as_str()), (Some("failure"), Some("pipeline")), "{job:#}");
    let reason = job["reason"].as_str().unwrap();
    assert!(reason.contains("test") && reason.contains('5'), "{reason}");
    assert_eq!((job["steps"][1]["exit_code"].as_i64(), job["trigger"].as_str()), (Some(5), Some("manual")));
    assert_eq!(server.log(&id, 2), "broken\n");
    let gone = server.get(&format!("/api/v1/jobs/{id}/artifacts/good"));
    assert!(gone.status == 410 && gone.text().contains("when=\\\"success\\\""), "{}", gone.text());
    let file = artifact(&server, &id, "app");
    let (code, said) = verify(&server, &file, &server.attestation(&id));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("✓ signature") && said.contains("job record (status failure)"), "{said}");
}

#[test]
fn a_schedule_that_came_while_the_server_was_down_runs_once() {
    let lines = "  triggers: [{on: cron, schedule: '0 3 * * *', branch: main}]\n";
    let file = danubefile(&["step.run('echo nightly', name='make', image='host')"]);
    let mut server = Danube::with(&Setup { files: &[("danubefile.py", &file)], pipeline: lines, global: "" });
    until("the schedule is noted", || {
        let known = server.database().query_row("SELECT count(*) FROM cron_ticks", [], |row| row.get::<_, u32>(0));
        (known.unwrap() == 1).then_some(())
    });
    assert!(server.jobs().is_empty(), "its past is not run");
    server.stop();
    let days = 3_i64 * 24 * 3600 * 1_000_000;
    server.database().execute("UPDATE cron_ticks SET last_tick = last_tick - ?1", [days]).unwrap();
    server.start();
    let id = until("the missed tick starts a job", || Some(server.jobs().first()?["id"].as_str().unwrap().to_owned()));
    let job = server.succeeds(&id);
    assert_eq!((job["trigger"].as_str(), job["branch"].as_str()), (Some("cron"), Some("main")));
    server.stop();
    server.start();
    // Deliveries and ticks come one after the other: a push that has its job proves that the loops have looked.
    server.succeeds(&server.trigger());
    let ticks = server.jobs().iter().filter(|job| job["trigger"] == "cron").count();
    assert_eq!(ticks, 1, "three missed nights are one job");
}

#[test]
fn the_command_line_starts_follows_and_reads_a_job() {
    let file = danubefile(&["step.run('echo from the step', name='make', image='host')"]);
    let server = Danube::with(&Setup { files: &[("danubefile.py", &file)], pipeline: TRIGGERS, global: "" });
    let output = server.danube(&["trigger", "app", "--wait"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("✓ make") && said.contains("success"), "{said}");
    let id = server.jobs()[0]["id"].as_str().unwrap().to_owned();
    let output = server.danube(&["logs", &id]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("from the step"));
    let output = server.danube(&["sync"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
