//! What a step may be given, and how it may end.
use crate::support::run::Run;

#[test]
fn a_step_that_is_too_slow_is_ended() {
    let end = Run::body("step.run(\"sleep 600\", name=\"slow\", timeout=\"1s\")").end();
    end.failed("step \"slow\" failed: it ran longer than its timeout of 1 s (danubefile.py:4)");
    assert_eq!((end.step("slow").status(), end.step("slow").cause()), ("timeout", "timeout"));
}

#[test]
fn a_step_that_outlives_a_kill_failed_of_its_exit_code() {
    let command = "python3 -c 'bytearray(300 << 20)' || echo going on; exit 3";
    let end = Run::body(&format!("step.run(\"{command}\", name=\"eat\", memory=\"64MiB\")")).end();
    end.failed(
        "step \"eat\" failed: exit code 3; earlier a process of it was killed for lack of memory (limit 64 MiB) \
         (danubefile.py:4)",
    );
}

#[test]
fn a_step_that_needs_too_much_memory_names_its_limit() {
    let end = Run::body("step.run(\"python3 -c 'bytearray(300 << 20)'\", name=\"eat\", memory=\"64MiB\")").end();
    end.failed("step \"eat\" failed: out of memory: its limit is 64 MiB (danubefile.py:4)");
    assert_eq!(end.step("eat").cause(), "oom");
}

#[test]
fn a_fork_bomb_meets_its_limit_and_is_gone_afterwards() {
    let bomb = "import os, time\nn = 0\ntry:\n while True:\n  if os.fork() == 0: time.sleep(600)\n  n += 1\n\
                except OSError as e: print('refused at', n > 50, e.strerror, flush=True); os._exit(5)";
    let run = Run::with(&[
        ("danubefile.py", &crate::support::run::pipeline("step.run(\"python3 bomb.py\", name=\"bomb\")")),
        ("bomb.py", bomb),
    ])
    .env("DANUBE_EXECUTOR__LIMITS__PIDS", "100");
    let reason = "step \"bomb\" failed: exit code 5; it reached its limit of 100 processes (danubefile.py:4)";
    run.end().failed(reason);
    assert!(run.log(1, 1).contains("refused at True Resource temporarily unavailable"), "{}", run.log(1, 1));
}

#[test]
fn only_the_named_causes_are_tried_again() {
    let body = r#"
def tried(name, command, on, **more):
    try: step.run(command, name=name, retry=Retry(times=2, on=on, backoff="10ms"), **more)
    except StepFailed as e: print("caught", name, e.result.exit_code, e.result.attempt)
tried("good", "test -e seen || { touch seen; exit 9; }", ["exit"])
tried("other", "exit 9", ["infra", "oom", "timeout"])
tried("slow", "sleep 600", ["timeout"], timeout="300ms")
tried("big", "python3 -c 'bytearray(300 << 20)'", ["oom"], memory="64MiB")
tried("once", "exit 9", ["exit"], once=True)
"#;
    let run = Run::body(body);
    let end = run.end();
    end.succeeded();
    let attempts = ["good", "other", "slow", "big", "once"].map(|name| end.attempts(name));
    assert_eq!(attempts, [2, 1, 3, 3, 1], "{end:?}");
    assert_eq!(end.step("good").status(), "success");
    let reasons = end.reasons("slow");
    assert_eq!(
        reasons,
        [
            "it ran longer than its timeout of 300 ms; attempt 2 of 3 after 10 ms",
            "it ran longer than its timeout of 300 ms; attempt 3 of 3 after 20 ms",
            "it ran longer than its timeout of 300 ms"
        ]
    );
    assert!(run.log(0, 1).contains("caught other 9 1\n") && run.log(0, 1).contains("caught once 9 1\n"));
}

#[test]
fn output_and_secrets_come_back_as_asked() {
    let body = r#"
r = step.run("echo out; echo err >&2", name="plain", capture=True)
print("stdout is", repr(r.stdout))
r = step.run("echo fresh-token-value", name="make", capture="secret")
print(repr(r.stdout), r.secret)  if False else print(repr(r.stdout), repr(r.secret))
step.run("test \"$T\" = fresh-token-value; echo \"$T\"; cat /run/t", name="use", env={"T": r.secret}, files={"/run/t": r.secret})
r = step.run("exit 4", name="soft", check=False)
print("soft", r.exit_code)
try: step.run("exit 5", name="hard")
except StepFailed as e: print("caught:", e)
"#;
    let run = Run::body(body);
    let end = run.end();
    end.succeeded();
    let log = run.log(0, 1);
    for line in ["stdout is 'out\\n'", "'' <danube secret captured by step \"make\">", "soft 4"] {
        assert!(log.contains(&format!("{line}\n")), "{line}: {log}");
    }
    assert!(log.contains("caught: step \"hard\" failed: exit code 5"), "{log}");
    assert!(!run.log(2, 1).contains("fresh-token") && !run.log(3, 1).contains("fresh-token"), "{}", run.log(3, 1));
    assert!(run.log(3, 1).contains("[secret "), "{}", run.log(3, 1));
}

#[test]
fn branches_run_side_by_side() {
    // Each waits for the other: one after another they would never end.
    let body = r#"
def meet(mine, other):
    step.run(f"touch {mine}; until test -e {other}; do sleep 0.01; done", name=mine, timeout="120s")
step.parallel(lambda: meet("a", "b"), lambda: meet("b", "a"))
pairs = {"c": "d", "d": "c"}
print(step.matrix(lambda side: (meet(side, pairs[side]), side)[1], {"side": ["c", "d"]}))
"#;
    let run = Run::body(body);
    let end = run.end();
    end.succeeded();
    assert!(run.log(0, 1).contains("['c', 'd']"), "{}", run.log(0, 1));
    let branches = ["a", "b", "c", "d"].map(|name| end.step(name).branch().to_owned());
    assert_eq!(branches, ["/parallel#0[0]", "/parallel#0[1]", "/matrix#0[side=c]", "/matrix#0[side=d]"]);
}

#[test]
fn the_first_of_two_failed_branches_is_the_reason_and_the_other_is_noted() {
    let body = "step.parallel(lambda: step.run(\"exit 3\", name=\"a\"), lambda: step.run(\"exit 4\", name=\"b\"))";
    let run = Run::body(body);
    run.end().failed("step \"a\" failed: exit code 3 (danubefile.py:4)");
    assert!(run.log(0, 1).contains("branch /parallel#0[1] failed too: step \"b\" failed: exit code 4"));
}

#[test]
fn a_step_gets_the_root_user_directory_and_limits_that_it_asks_for() {
    let body = r#"
step.run("touch /x 2>&1; touch made && echo workspace", name="readonly", root="readonly", check=False)
step.run("id -u; id -g", name="user", user="1000")
step.run("mkdir -p sub && touch sub/f", name="dir")
step.run("pwd; ls", name="workdir", workdir="/workspace/sub", cpu=0.5, memory="100MiB")
step.run("true", name="nowhere", workdir="/workspace/none", check=False)
"#;
    let run = Run::body(body);
    run.end().succeeded();
    assert!(run.log(1, 1).contains("Read-only file system\nworkspace\n"), "{}", run.log(1, 1));
    assert!(run.log(2, 1).ends_with("1000\n1000\n"), "{}", run.log(2, 1));
    assert!(run.log(4, 1).ends_with("/workspace/sub\nf\n"), "{}", run.log(4, 1));
    assert!(run.log(5, 1).contains("danube: cannot change to /workspace/none: No such file"), "{}", run.log(5, 1));
}

#[test]
fn what_a_step_cannot_have_is_refused_with_what_is_possible() {
    let cases = [
        ("image=\"--alpine\"", "it begins with '-', as options do"),
        ("memory=\"1MiB\"", "memory = 1048576 bytes (from 6291456"),
        ("user=\"root\"", "user 'root' is not a number"),
        ("memory=\"3GiB\"", "memory= asks for 3 GiB, this server gives a step at most 2 GiB"),
        ("cpu=3", "cpu= asks for 3 cores, this server gives a step at most 2"),
        ("caps=[\"SETFCAP\"]", "does not allow"),
    ];
    let lines: String =
        cases.iter().map(|(given, _)| format!("step.run(\"true\", name='{given}', check=False, {given})\n")).collect();
    let end = Run::body(&lines).end();
    end.succeeded();
    for (given, why) in cases {
        assert!(end.step(given).reason().contains(why), "{given}: {}", end.step(given).reason());
    }
}
