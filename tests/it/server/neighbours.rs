//! Instances side by side on one machine do not meet.
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::machine::machine_snapshot;
use crate::support::repo::repository;
use crate::support::server::{Danube, danubefile, until};
use crate::support::{danube, shim};

/// Says who it is on the machine, and waits until it is let go.
const STEP: &str = "step.run('cat /proc/self/uid_map /proc/self/cgroup > who; touch up; until test -e go; do sleep 0.02; \
                    done; echo mine; cat own', name='wait', image='host')";

fn workspaces(jobs: PathBuf) -> Option<PathBuf> {
    let job = fs::read_dir(jobs).ok()?.flatten().next()?;
    let workspace = job.path().join("workspace");
    workspace.join("up").exists().then_some(workspace)
}

#[test]
fn two_servers_and_a_run_do_not_meet() {
    let (one, two) = (Danube::building(&[STEP]), Danube::building(&[STEP]));
    let run = tempfile::Builder::new().prefix("it-").tempdir().unwrap();
    fs::set_permissions(run.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (repo, data) = (run.path().join("repo"), run.path().join("data"));
    repository(&repo, &[("danubefile.py", &danubefile(&[STEP]))]);
    let jobs = [one.trigger(), two.trigger()];
    let child = Command::new(danube())
        .args(["run", "--json", "--data-dir"])
        .arg(&data)
        .arg(&repo)
        .env("DANUBE_SHIM", shim())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let instance = until("the run has a name", || fs::read_to_string(data.join("instance")).ok());
    let of_run = PathBuf::from(format!("/var/lib/danube-executor/run-{}/jobs", instance.trim()));
    let places: Vec<PathBuf> = [one.tree().join("jobs"), two.tree().join("jobs"), of_run]
        .map(|jobs| until("a step is up", || workspaces(jobs.clone())))
        .to_vec();

    // All three live now: none has what another has.
    let who: Vec<String> = places.iter().map(|place| fs::read_to_string(place.join("who")).unwrap()).collect();
    let ranges: Vec<&str> = who.iter().map(|text| text.split_whitespace().nth(1).unwrap()).collect();
    let differ = |of: &[&str]| of[0] != of[1] && of[1] != of[2] && of[0] != of[2];
    assert!(differ(&ranges), "{ranges:?}");
    let names = [one.instance(), two.instance(), instance.trim()];
    assert!(differ(&names), "{names:?}");
    for (name, text) in names.iter().zip(&who) {
        let cgroups: Vec<&str> = text.lines().filter(|line| line.contains("danube-")).collect();
        assert!(cgroups.iter().all(|line| line.contains(name)), "{name}: {cgroups:?}");
    }
    for (n, place) in places.iter().enumerate() {
        fs::write(place.join("own"), format!("{n}\n")).unwrap();
        fs::write(place.join("go"), "").unwrap();
    }
    for (n, (server, job)) in [&one, &two].into_iter().zip(&jobs).enumerate() {
        server.succeeds(job);
        assert_eq!(server.log(job, 1), format!("mine\n{n}\n"));
        assert_eq!(server.jobs().len(), 1);
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["status"], "success");
    until("the run has left nothing", || {
        let left = machine_snapshot().into_iter().any(|line| line.contains(instance.trim()));
        (!left).then_some(())
    });
}
