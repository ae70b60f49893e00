//! Jobs that do not end by themselves, and jobs that wait for others.
use crate::support::repo::commit;
use crate::support::server::{Danube, Setup, TRIGGERS, danubefile, until};

/// Goes on until it is told to stop, or the commit has a file that says it need not.
const LONG: &str = "step.run('trap \"echo bye; exit 0\" TERM; echo up; test -e short && exit 0; while :; do sleep 0.05; \
                    done', name='long', image='host')";

fn server(pipeline: &str, global: &str) -> Danube {
    let pipeline = format!("{TRIGGERS}{pipeline}");
    Danube::with(&Setup { files: &[("danubefile.py", &danubefile(&[LONG]))], pipeline: &pipeline, global })
}

fn is_up(server: &Danube, job: &str) {
    until("the step runs", || server.log(job, 1).contains("up").then_some(()));
}

#[test]
fn a_cancelled_job_ends_its_step_politely_and_says_who_asked() {
    let server = server("", "");
    let id = server.trigger();
    is_up(&server, &id);
    let path = format!("/api/v1/jobs/{id}/cancel");
    assert_eq!(server.post(&path, &serde_json::Value::Null).with(202)["outcome"], "stopping");
    let job = server.ended(&id);
    assert_eq!(job["status"], "cancelled", "{job:#}");
    assert_eq!(job["cancel_requested_by"], "local-admin");
    assert_eq!(job["steps"][0]["status"], "cancelled");
    assert!(server.log(&id, 1).contains("bye\n"), "{}", server.log(&id, 1));
    assert_eq!(server.post(&path, &serde_json::Value::Null).with(200)["outcome"], "already cancelled");
    until("its workspace is gone", || (!server.workspace(&id).exists()).then_some(()));
    assert!(server.attestation(&id).contains("payload"), "a cancelled job has a signed record too");
}

#[test]
fn a_cancel_that_was_accepted_outlives_the_server_and_is_noted_once() {
    let mut server = server("", "");
    let id = server.trigger();
    is_up(&server, &id);
    let path = format!("/api/v1/jobs/{id}/cancel");
    assert_eq!(server.post(&path, &serde_json::Value::Null).with(202)["outcome"], "stopping");
    server.kill();
    server.start();
    // Asked again meanwhile, or when it is over: either way the same end.
    let again = server.danube(&["job", "cancel", "app#1"]);
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(
        again.status.success() && ["app#1: stopping\n", "app#1: already cancelled\n"].contains(&said.as_str()),
        "{said}"
    );
    let job = server.ended(&id);
    assert_eq!((&job["status"], &job["reason"]), (&"cancelled".into(), &"cancelled by local-admin".into()), "{job:#}");
    let late = server.danube(&["job", "cancel", "app#1"]);
    assert_eq!(
        (late.status.code(), String::from_utf8_lossy(&late.stdout).as_ref()),
        (Some(0), "app#1: already cancelled\n")
    );
    let rows: u32 = server
        .database()
        .query_row("SELECT count(*) FROM audit_log WHERE action LIKE '%cancel%'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 1, "one request was taken");
}

#[test]
fn a_cancel_of_an_ended_job_says_how_it_ended_and_is_well() {
    let server = Danube::building(&["step.run('true', name='short', image='host')"]);
    let id = server.trigger();
    server.succeeds(&id);
    let late = server.danube(&["job", "cancel", "app#1"]);
    assert_eq!(
        (late.status.code(), String::from_utf8_lossy(&late.stdout).as_ref()),
        (Some(0), "app#1: already success\n")
    );
    assert_eq!(server.job(&id)["cancel_requested_at"], serde_json::Value::Null);
}

#[test]
fn a_job_ends_when_its_time_is_up() {
    let server = server("  max_duration_seconds: 3\n", "");
    let id = server.trigger();
    let job = server.ended(&id);
    assert_eq!(job["status"], "timeout", "{job:#}");
    let reason = job["reason"].as_str().unwrap();
    assert!(reason.contains("max_duration_seconds") && reason.contains("3 s"), "{reason}");
    // On a machine with no time to spare the step may begin when the grace is nearly over.
    let step = &job["steps"][0];
    let time = |value: &serde_json::Value| value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let begun = time(&step["started_at"]).zip(time(&job["started_at"])).map(|(step, job)| step.duration_since(job));
    if begun.is_some_and(|begun| begun.as_secs() < 3) {
        let log = server.log(&id, 1);
        assert!(log.contains("bye\n"), "a step that runs is asked to end: {log}\n{job:#}");
    }
}

#[test]
fn a_newer_job_of_a_group_takes_the_place_of_the_older() {
    let server = server("  concurrency: {group: '{branch}', cancel_superseded: true}\n", "");
    let older = server.trigger();
    is_up(&server, &older);
    commit(&server.app(), &[("short", "")], "be short");
    let newer = server.trigger();
    server.succeeds(&newer);
    let job = server.ended(&older);
    assert_eq!(job["status"], "cancelled", "{job:#}");
    assert_eq!(job["reason"], "superseded by app#2");
}

#[test]
fn more_jobs_than_may_run_wait_and_say_for_what() {
    let server = server("", "  concurrency: {max_running_jobs: 1}\n");
    let first = server.trigger();
    is_up(&server, &first);
    commit(&server.app(), &[("short", "")], "be short");
    let second = server.trigger();
    let waits = server.job(&second);
    assert_eq!(waits["status"], "pending");
    let why = waits["waiting"].as_str().unwrap();
    assert!(why.starts_with("the only slot is taken"), "{why}");
    server.post(&format!("/api/v1/jobs/{first}/cancel"), &serde_json::Value::Null).with(202);
    server.succeeds(&second);
    let (first, second) = (server.job(&first), server.job(&second));
    assert_eq!(first["status"], "cancelled");
    assert!(second["started_at"].as_str() > first["finished_at"].as_str(), "one after the other");
}
