//! A job that failed late goes on where it stopped, on a real server.
use crate::support::server::{Danube, Setup, danubefile};

/// Ten steps; the ninth asks for a word that is set from outside. Each notes in the workspace that it ran.
fn ten_steps() -> Danube {
    let file = danubefile(&[
        "gate = secrets.get('GATE')",
        "started, number = ctx.now(), ctx.number",
        "for n in range(1, 9):",
        "    step.run(f'echo {n} >> ledger', name=f'step {n}', image='host')",
        "artifacts.upload('ledger', name='ledger')",
        "step.run('echo 9 >> ledger; test \"$GATE\" = opened-wide', name='step 9', image='host', env={'GATE': gate})",
        "step.run(f'echo 10 >> ledger; cat ledger; echo {started} {number}', name='step 10', image='host')",
    ]);
    Danube::prepared(&Setup {
        files: &[("danubefile.py", &file)],
        pipeline: "  triggers: [{on: push}, {on: manual}]\n  secrets: [{key: GATE}]\n",
        global: "",
    })
}

fn steps(job: &serde_json::Value) -> Vec<(String, String)> {
    let shown = |step: &serde_json::Value| {
        let from = step["reused_from"]["label"].as_str().unwrap_or("ran").to_owned();
        (format!("{} {}", step["n"], step["status"].as_str().unwrap()), from)
    };
    job["steps"].as_array().unwrap().iter().map(shown).collect()
}

#[test]
fn a_rerun_from_the_ninth_of_ten_steps_runs_two_and_is_no_provenance() {
    let mut server = ten_steps();
    server.start();
    let gate = |word: &str| server.put("/api/v1/secrets/global/GATE", word.as_bytes()).with(204);
    gate("closed-shut");
    let said = |arguments: &[&str]| {
        let output = server.danube(arguments);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let (code, text) = said(&["trigger", "app", "--wait"]);
    assert_eq!(code, Some(1), "{text}");
    let (_, shown) = said(&["job", "show", "app#1"]);
    assert!(shown.contains("danube job rerun app#1 --failed"), "{shown}");
    gate("opened-wide");
    let (code, text) = said(&["job", "rerun", "app#1", "--failed", "--wait"]);
    assert!(code == Some(0) && text.contains("app#1 again from where it stopped"), "{text}");
    assert!(text.contains("step 8  reused from app#1"), "{text}");

    let ids: Vec<String> = server.jobs().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect();
    let [second, first] = &ids[..] else { panic!("{ids:?}") };
    let (old, new) = (server.job(first), server.job(second));
    let reused = (1..=8).map(|n| (format!("{n} success"), "app#1".to_owned()));
    let ran = [9, 10].map(|n| (format!("{n} success"), "ran".to_owned()));
    assert_eq!(steps(&new), reused.chain(ran).collect::<Vec<_>>());
    // The workspace says how often each ran, and values are those of the first run.
    let log = server.log(second, 10);
    let (ledger, values) = log.split_at(log.find("10\n").unwrap() + 3);
    assert_eq!(ledger, "1\n2\n3\n4\n5\n6\n7\n8\n9\n9\n10\n");
    assert!(values.trim_end().ends_with(" 1"), "{values}");
    let (_, shown) = said(&["job", "show", "app#2"]);
    assert_eq!(shown.matches("reused from app#1").count(), 8, "{shown}");
    for (which, wanted) in [("started_at", 0), ("finished_at", 7)] {
        assert_eq!(new["steps"][wanted][which], old["steps"][wanted][which]);
    }
    let artifact = server.get(&format!("/api/v1/jobs/{second}/artifacts/ledger"));
    assert_eq!((artifact.status, artifact.text()), (200, "1\n2\n3\n4\n5\n6\n7\n8\n".to_owned()));

    std::fs::write(server.path("ledger"), artifact.text()).unwrap();
    std::fs::write(server.path("a.json"), server.attestation(second)).unwrap();
    let key = server.data().join("keys/signing.key.pub");
    let checked = std::process::Command::new(crate::support::danube())
        .args(["verify", "ledger", "--attestation", "a.json", "--key"])
        .arg(&key)
        .current_dir(server.path(""))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(2), "{told}");
    assert!(told.contains("went on in the workspace that app#1 had left"), "{told}");
    assert!(told.contains("danube job rerun app#1"), "{told}");

    let (code, text) = said(&["job", "rerun", "app#1", "--failed"]);
    assert!(code == Some(1) && text.contains("app#2 went on in its workspace; run all of it again"), "{text}");
    let (_, shown) = said(&["job", "show", "app#1"]);
    assert!(shown.contains("only all of it: app#2 went on in its workspace"), "{shown}");
    assert!(!server.tree().join("jobs").join(second).exists(), "nothing is kept of a job that ended well");
}

#[test]
fn a_kept_workspace_outlives_the_server_and_may_fail_again() {
    let mut server = ten_steps();
    server.start();
    server.put("/api/v1/secrets/global/GATE", b"closed-shut").with(204);
    let first = server.trigger();
    assert_eq!(server.ended(&first)["status"], "failure");
    let ask = serde_json::json!({ "from": "failed" });
    let second = server.post(&format!("/api/v1/jobs/{first}/rerun"), &ask).with(201)["id"].as_str().unwrap().to_owned();
    assert_eq!(server.ended(&second)["status"], "failure");
    let words = server.kill_executor();
    server.kill();
    server.start_executor(&words);
    server.start();
    assert_eq!(server.job(&second)["rerun_from_failed"]["possible"], true);
    server.put("/api/v1/secrets/global/GATE", b"opened-wide").with(204);
    let third = server.post(&format!("/api/v1/jobs/{second}/rerun"), &ask).with(201)["id"].as_str().unwrap().to_owned();
    let job = server.succeeds(&third);
    assert!(server.log(&third, 10).starts_with("1\n2\n3\n4\n5\n6\n7\n8\n9\n9\n9\n10\n"));
    assert_eq!(steps(&job)[0].1, "app#1", "where it ran, however often it was taken over");
}
