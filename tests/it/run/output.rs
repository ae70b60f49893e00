//! Output of every kind, and a disk that has no room for it.
use std::process::Command;

use crate::support::danube;
use crate::support::run::{Run, assert_nothing_of};

#[test]
fn a_step_that_prints_without_end_is_ended_by_the_log_limit() {
    let run = Run::body("step.run(\"yes abcdefghijklmnopqrstuvwxyz | head -c 1000000000; sleep 600\", name=\"loud\")")
        .env("DANUBE_EXECUTOR__LIMITS__MAX_LOG_BYTES", "2MiB");
    run.end().failed("step \"loud\" failed: it wrote more than 2 MiB of output (danubefile.py:4)");
    let log = run.log(1, 1);
    assert!(log.ends_with("danube: the log limit of 2 MiB is reached\n"), "{}", &log[log.len() - 200..]);
    assert!(log.len() < (2 << 20) + 300, "{}", log.len());
}

#[test]
fn a_gigabyte_is_not_shown_whole_and_the_end_is() {
    let run = Run::body("step.run(\"yes abcdefghijklmnopqrstuvwxyz | head -n 8000000; echo the end\", name=\"loud\")");
    let run = run.shown();
    let end = run.end();
    assert_eq!(end.code, 0, "{}", end.err);
    assert!(end.out.contains(" not shown; all of it: ") && end.out.contains("│ the end\n"));
    assert!(end.out.len() < 150_000_000, "{}", end.out.len());
}

#[test]
fn hostile_bytes_are_stored_as_they_are_and_shown_harmlessly() {
    let command = r"printf '\377\376 bad \033[2J\033]0;title\007 <b>\n\033[31mred\033[0m\nno newline'";
    let run = Run::body(&format!("step.run(r\"\"\"{command}\"\"\", name=\"bytes\", network=False)")).shown();
    let end = run.end();
    assert_eq!(end.code, 0, "{}", end.err);
    let stored = b"\xff\xfe bad \x1b[2J\x1b]0;title\x07 <b>\n\x1b[31mred\x1b[0m\nno newline";
    assert_eq!(run.log_bytes(1, 1), stored);
    assert!(!end.out.chars().any(|c| c.is_control() && c != '\n'), "{:?}", end.out);
    assert!(end.out.contains("│ red\n") && end.out.contains("│ no newline\n"), "{:?}", end.out);
}

#[test]
fn what_is_told_is_told_once() {
    let body = "step.run(\"echo one\", name=\"one\")\n\
                step.parallel(lambda: step.run(\"echo oh; exit 3\", name=\"bad\"), \
                lambda: step.run(\"until test -e go; do sleep 0.01; done; echo late\", name=\"slow\"))";
    let run = Run::body(body).shown();
    let started = run.start(run.command());
    run.until("the failed step's end", || run.printed("out").contains("✗ bad"));
    let workspace = std::fs::read_dir(run.executor().join("jobs")).unwrap().flatten().next().unwrap();
    std::fs::write(workspace.path().join("workspace/go"), "").unwrap();
    let end = started.end();
    let count = |text: &str| end.out.matches(text).count();
    assert_eq!((end.code, count("no network"), count("exit code 3 (danubefile.py:5)")), (1, 0, 1), "{}", end.out);
    let tail = end.out.split("✓ slow").nth(1).unwrap();
    assert!(tail.contains("the last lines of step ") && tail.contains("  │ oh\n"), "{}", end.out);
}

#[test]
fn a_disk_that_is_full_ends_the_step_and_is_the_reason() {
    let run = Run::body("step.run(\"yes abcdefghijklmnopqrstuvwxyz | head -c 100000000; sleep 600\", name=\"loud\")");
    std::fs::create_dir(run.data()).unwrap();
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs -o size=48m,mode=711 none \"$1\"; \"$0\" run \"$2\" --json --data-dir \"$1/data\"; \
                  code=$?; cat \"$1/data/instance\" >&2; tail -c 200 \"$1\"/data/logs/*/1.1.log >&2; exit $code";
    command.args(["-m", "--propagation", "private", "sh", "-c", script]).arg(danube()).arg(run.data()).arg(run.repo());
    command.env("DANUBE_SHIM", crate::support::shim());
    let end = run.start(command).end();
    end.failed(
        "step \"loud\" failed: its output could not be stored, because the disk of the data directory is full, \
         read-only or broken: mend that and run it again (danubefile.py:4)",
    );
    assert!(end.err.contains("danube: the disk of the logs is full; "), "{}", end.err);
    assert_nothing_of(&end.err[..8]);
}
