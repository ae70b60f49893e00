//! `danube-shim step` with a real crun: what a step prints and how it ends is on disk afterwards.
//!
//! Containers need root and crun; elsewhere these tests say so and do nothing.

mod bundle;
mod golden;

use std::fs;
use std::time::Duration;

use bundle::Step;
use danube_shim::control::{self, Request};
use danube_shim::index::{self, Stream};
use danube_shim::record::Records;
use danube_shim::start::{Ids, Pattern, StartFile};

fn pattern(value: &str) -> Pattern {
    Pattern { name: "TOKEN".to_owned(), value: value.as_bytes().to_vec() }
}

#[test]
fn bytes_and_exit_code_of_a_step_are_recorded() {
    let Some(mut step) = Step::new("printf out; printf err >&2; echo again >/dev/stderr; exit 7") else {
        return;
    };
    step.start.notes = vec!["danube: attempt 1".to_owned()];
    step.start.drop = Some(Ids { uid: 61_184, gid: 61_184 });
    let exit = step.run();
    assert_eq!((exit.exit_code, exit.signal, exit.error), (7, None, None));
    assert!(!exit.log_truncated);
    assert!(exit.started_ns <= exit.ended_ns);
    let log = step.log();
    assert_eq!(exit.log_bytes, log.len() as u64);
    assert!(log.starts_with("danube: attempt 1\n"), "{log}");
    let of = |stream| -> String {
        index::records(&fs::read(step.dir().join("idx")).unwrap(), log.len() as u64)
            .filter(|record| record.stream == stream)
            .map(|record| &log[record.offset as usize..record.end() as usize])
            .collect()
    };
    assert_eq!(of(Stream::Stdout), "out");
    assert_eq!(of(Stream::Stderr), "erragain\n");
}

#[test]
fn a_step_never_runs_twice() {
    let Some(step) = Step::new("echo once") else { return };
    step.run();
    assert_eq!(step.spawn().wait().unwrap().code(), Some(3));
    assert_eq!(step.log(), "once\n");
}

#[test]
fn a_secret_printed_one_byte_at_a_time_is_not_in_the_log() {
    let script = "for c in h u n t e r 2 2; do printf $c; done; echo; echo $TOKEN | base64 >&2";
    let Some(mut step) = Step::new(script) else { return };
    step.start.patterns = vec![pattern("hunter22")];
    step.start.container.env.push(("TOKEN".into(), "hunter22".into()));
    step.run();
    let log = step.log();
    assert!(log.contains("[secret TOKEN]\n"), "{log}");
    assert!(!log.contains("hunter22") && !log.contains("aHVudGVy"), "{log}");
}

#[test]
fn a_value_registered_while_the_step_runs_is_masked() {
    let script = "echo ready; until [ -e go ]; do sleep 0.02; done; echo late-secret";
    let Some(step) = Step::new(script) else { return };
    let mut shim = step.spawn();
    step.wait_for_log("ready");
    let ask = |request| control::ask(step.dir(), &request, Duration::from_secs(20)).unwrap();
    assert!(ask(Request::Ping(1)).ok);
    assert!(ask(Request::Mask(vec![pattern("late-secret")])).ok);
    let refused = ask(Request::Mask(vec![pattern("abc")]));
    assert!(refused.error.unwrap().contains("TOKEN"));
    fs::write(step.workspace().join("go"), "").unwrap();
    shim.wait().unwrap();
    assert_eq!(step.log(), "ready\n[secret TOKEN]\n");
}

#[test]
fn a_child_that_keeps_the_output_open_does_not_hold_the_step() {
    let Some(step) = Step::new("setsid sleep 1000 & echo done") else { return };
    assert_eq!(step.run().exit_code, 0);
    assert_eq!(step.log(), "done\n");
}

#[test]
fn a_killed_container_is_recorded_with_its_signal() {
    let Some(step) = Step::new("echo ready; sleep 1000") else { return };
    let mut shim = step.spawn();
    step.wait_for_log("ready");
    step.crun(&["kill", "KILL"]);
    shim.wait().unwrap();
    let exit = step.exit();
    assert_eq!((exit.exit_code, exit.signal), (137, Some(9)));
}

#[test]
fn a_step_is_told_to_end_and_may_clean_up() {
    let script = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let Some(step) = Step::new(script) else { return };
    let mut shim = step.spawn();
    step.wait_for_log("ready");
    step.crun(&["kill", "TERM"]);
    shim.wait().unwrap();
    assert_eq!(step.exit().exit_code, 5);
    // Where the shell's own message about its child stands is up to chance: it is another pipe.
    assert!(step.log().contains("bye\n"), "{}", step.log());
}

#[test]
fn a_signal_to_the_supervisor_changes_nothing() {
    let script = "echo ready; until [ -e go ]; do sleep 0.02; done; exit 4";
    let Some(step) = Step::new(script) else { return };
    let mut shim = step.spawn();
    step.wait_for_log("ready");
    danube_shim::sys::kill(shim.id().cast_signed(), libc::SIGTERM);
    fs::write(step.workspace().join("go"), "").unwrap();
    shim.wait().unwrap();
    assert_eq!(step.exit().exit_code, 4);
}

#[test]
fn a_log_over_its_limit_raises_the_flag_and_the_step_goes_on() {
    let Some(mut step) = Step::new("yes | head -c 300000; echo end >&2; exit 3") else { return };
    step.start.log_limit = 1000;
    let exit = step.run();
    assert_eq!(exit.exit_code, 3);
    assert!(exit.log_truncated);
    assert!(Records::open(step.dir()).unwrap().overflowed());
    let log = step.log();
    assert!(log.ends_with("danube: the log limit of 1000 bytes is reached\n"));
    assert!(log.len() < 1100);
}

#[test]
fn a_captured_secret_is_kept_and_not_logged() {
    let Some(mut step) = Step::new("printf fresh-token; echo visible >&2") else { return };
    step.start.capture_secret = true;
    assert_eq!(step.run().error, None);
    assert_eq!(step.log(), "visible\n");
    let captured = Records::open(step.dir()).unwrap().captured().unwrap();
    assert_eq!(captured.as_deref(), Some(&b"fresh-token"[..]));
}

#[test]
fn a_capture_that_is_too_long_is_an_error_and_not_half_a_secret() {
    let Some(mut step) = Step::new("yes | head -c 100000") else { return };
    step.start.capture_secret = true;
    assert!(step.run().error.unwrap().contains("64 KiB"));
    assert_eq!(Records::open(step.dir()).unwrap().captured().unwrap(), None);
}

#[test]
fn an_out_of_memory_kill_is_counted() {
    let Some(step) = Step::new("head -c 300000000 /dev/zero | tail -n 1 >/dev/null; exit 0") else {
        return;
    };
    assert!(step.run().oom_kills > 0);
}

#[test]
fn a_container_that_cannot_start_says_why() {
    let Some(step) = Step::new("true") else { return };
    fs::remove_dir_all(step.dir().join("bundle/rootfs/usr")).unwrap();
    fs::write(step.dir().join("bundle/rootfs/usr"), "a file").unwrap();
    let exit = step.run();
    assert_eq!(exit.exit_code, -1);
    let error = exit.error.unwrap();
    assert!(error.starts_with("the container could not be started: "), "{error}");
    assert!(error.contains("usr"), "{error}");
}

#[test]
fn files_and_environment_reach_the_step_and_no_file_of_the_runtime() {
    let Some(mut step) = Step::new("cat .netrc; echo $A; stat -L -c %a .netrc; env | grep -c .") else {
        return;
    };
    step.start.container.env.push(("A".into(), "from-env-9".into()));
    step.start.container.files.push(StartFile { path: ".netrc".into(), content: b"from-file-9\n".to_vec() });
    step.run();
    assert!(step.log().starts_with("from-file-9\nfrom-env-9\n600\n"), "{}", step.log());
    let kept = bundle::all_bytes_below(step.dir(), &["log"]);
    assert!(!kept.windows(6).any(|window| window == b"-env-9"));
}

#[test]
fn another_process_of_the_step_cannot_look_into_the_first_one() {
    let Some(step) = Step::new("cat /proc/1/environ || readlink /proc/1/fd/0 || echo closed") else { return };
    step.run();
    assert!(step.log().contains("closed\n"), "{}", step.log());
}

#[test]
fn a_command_that_does_not_exist_ends_with_127() {
    let Some(mut step) = Step::new("") else { return };
    step.start.container.argv = vec!["/bin/no-such-shell".into()];
    assert_eq!(step.run().exit_code, 127);
    assert!(step.log().starts_with("danube: cannot start /bin/no-such-shell: No such file"));
}

#[test]
fn a_command_may_run_as_another_user() {
    let Some(mut step) = Step::new("id -u; id -g; cat key") else { return };
    step.start.container.uid = Some(1000);
    step.start.container.gid = Some(1001);
    step.start.container.files.push(StartFile { path: "key".into(), content: b"readable\n".to_vec() });
    step.run();
    assert_eq!(step.log(), "1000\n1001\nreadable\n");
}

#[test]
fn the_supervisor_of_a_running_step_has_given_up_its_privileges() {
    let Some(mut step) = Step::new("echo ready; until [ -e go ]; do sleep 0.02; done") else { return };
    step.start.drop = Some(Ids { uid: 61_184, gid: 61_185 });
    let mut shim = step.spawn();
    step.wait_for_log("ready");
    // The log may be read before the last of it is given up; an answer comes after that.
    assert!(control::ask(step.dir(), &Request::Ping(1), Duration::from_secs(20)).unwrap().ok);
    let status = fs::read_to_string(format!("/proc/{}/status", shim.id())).unwrap();
    for line in [
        "Uid:\t61184\t61184\t61184\t61184",
        "Gid:\t61185\t61185\t61185\t61185",
        "Groups:\t ",
        "CapEff:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ] {
        assert!(status.lines().any(|seen| seen == line), "{line} in {status}");
    }
    fs::write(step.workspace().join("go"), "").unwrap();
    shim.wait().unwrap();
    assert_eq!(step.exit().error, None);
}
