//! A person who ends a run.
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::run::Run;

fn interrupt(child: &Child) {
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
}

#[test]
fn ctrl_c_cancels_the_job_and_lets_its_steps_end() {
    let run = Run::body(
        "step.run(\"trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done\", name=\"long\")\n\
         step.run(\"true\", name=\"never\")",
    );
    let started = run.start(run.command());
    run.until("the step's first line", || run.log(1, 1).contains("up\n"));
    interrupt(&started.child);
    let end = started.end();
    assert_eq!((end.code, end.status(), end.reason()), (1, "cancelled", "cancelled by local-admin"), "{end:?}");
    assert_eq!((end.step("long").status(), end.attempts("never")), ("cancelled", 0));
    assert!(run.log(1, 1).contains("bye\n"), "{}", run.log(1, 1));
    assert!(end.err.contains("stopping; steps get 10 seconds"), "{}", end.err);
}

#[test]
fn a_second_ctrl_c_does_not_wait() {
    let run = Run::body("step.run(\"trap '' TERM; echo up; while :; do sleep 0.05; done\", name=\"deaf\")");
    let started = run.start(run.command());
    run.until("the step's first line", || run.log(1, 1).contains("up\n"));
    interrupt(&started.child);
    run.until("the answer to the first", || run.printed("err").contains("stopping"));
    interrupt(&started.child);
    let end = started.end();
    assert_eq!(end.code, 1);
    assert!(end.err.contains("the run was given up: its record and its logs may be incomplete"), "{}", end.err);
}

#[test]
fn a_run_after_a_failed_one_starts_afresh() {
    let run = Run::body("step.run(\"test ! -e left && touch left && exit 3\", name=\"one\")");
    for _ in 0..2 {
        run.end().failed("step \"one\" failed: exit code 3 (danubefile.py:4)");
    }
    assert!(!run.repo().join("left").exists(), "nothing is written into the developer's tree");
}
