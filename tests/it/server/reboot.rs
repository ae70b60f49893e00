//! The machine itself was restarted while jobs ran: nothing of them lives, and /run is as empty as after a boot.
use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::server::{Danube, Setup, danubefile, until};

const FILE: [&str; 3] = [
    "step.run('echo deployed; test ! -e left && touch left', name='deploy', image='host', \
     once=ctx.params['once'] == 'yes')",
    "step.run('touch up; until test -e go; do sleep 0.02; done', name='wait', image='host')",
    "step.run('echo done', name='last', image='host')",
];

const PARAMS: &str = "  triggers: [{on: manual}]
  params: [{name: once, type: string, default: 'no'}]
";

/// Ends everything of the server's on this machine at once, and empties what a boot empties.
fn pull_the_plug(server: &mut Danube) {
    server.kill();
    server.kill_executor();
    let instance = server.instance().to_owned();
    let dying = |entry: &fs::DirEntry| {
        let text = |name: &str| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        let word = format!("/danube-{instance}/");
        text("cgroup").contains(&word)
            || (text("cmdline").contains("danube-shim") && text("cmdline").contains(&instance))
    };
    until("everything is dead", || {
        let left: Vec<_> = fs::read_dir("/proc").unwrap().flatten().filter(dying).collect();
        for entry in &left {
            let pid = entry.file_name().to_str().and_then(|name| Pid::from_raw(name.parse().ok()?));
            pid.map(|pid| kill_process(pid, Signal::KILL));
        }
        left.is_empty().then_some(())
    });
    let run = Path::new("/run/danube").join(&instance);
    for line in fs::read_to_string("/proc/self/mounts").unwrap().lines() {
        let place = line.split(' ').nth(1).unwrap_or_default();
        if Path::new(place).starts_with(&run) {
            assert!(std::process::Command::new("umount").arg("-l").arg(place).status().unwrap().success());
        }
    }
    fs::remove_dir_all(run).unwrap();
    for lease in fs::read_dir("/run/danube/uids").unwrap().flatten() {
        if fs::read_to_string(lease.path()).is_ok_and(|holder| holder.contains(&instance)) {
            fs::remove_file(lease.path()).unwrap();
        }
    }
}

fn begin(server: &Danube, once: &str) -> String {
    let body = json!({ "params": { "once": once } });
    server.post("/api/v1/pipelines/app/trigger", &body).with(201)["id"].as_str().unwrap().to_owned()
}

fn step<'a>(job: &'a Value, name: &str) -> Option<&'a Value> {
    job["steps"].as_array().unwrap().iter().find(|step| step["name"] == name)
}

#[test]
fn jobs_run_again_from_the_start_and_what_may_run_once_is_not_run_twice() {
    let setup = Setup { files: &[("danubefile.py", &danubefile(&FILE))], pipeline: PARAMS, global: "" };
    let mut server = Danube::prepared(&setup);
    server.boot("one");
    server.start();
    let (plain, once, cancelled) = (begin(&server, "no"), begin(&server, "yes"), begin(&server, "no"));
    for job in [&plain, &once, &cancelled] {
        until("its second step runs", || server.workspace(job).join("up").exists().then_some(()));
    }
    server.post(&format!("/api/v1/jobs/{cancelled}/cancel"), &Value::Null);
    pull_the_plug(&mut server);
    server.boot("two");
    server.start();

    let failed = server.ended(&once);
    assert_eq!(
        (&failed["status"], &failed["failure"], &failed["attempt"]),
        (&json!("failure"), &json!("infrastructure"), &json!(1))
    );
    let reason = "the machine was restarted while the job ran; it is not tried again, because the step 'deploy' may run only once";
    assert_eq!(failed["reason"], reason);
    assert_eq!(step(&failed, "deploy").unwrap()["status"], "success");
    let waited = step(&failed, "wait").unwrap();
    assert_eq!((&waited["status"], &waited["cause"]), (&json!("failure"), &json!("infra")));
    assert_eq!(waited["reason"], "the machine was restarted while the job ran");

    let stopped = server.ended(&cancelled);
    assert_eq!((&stopped["status"], &stopped["reason"]), (&json!("cancelled"), &json!("cancelled by local-admin")));

    // In a fresh workspace: its first step fails where it finds what it left.
    until("it runs again", || server.workspace(&plain).join("up").exists().then_some(()));
    fs::write(server.workspace(&plain).join("go"), "").unwrap();
    let done = server.succeeds(&plain);
    assert_eq!(done["attempt"], 2);
    let names: Vec<&Value> = done["steps"].as_array().unwrap().iter().map(|step| &step["name"]).collect();
    assert_eq!(names, ["deploy", "wait", "deploy", "wait", "last"]);
    let lost = &done["steps"][1];
    assert_eq!((&lost["status"], &lost["cause"]), (&json!("failure"), &json!("infra")));
}
