//! A coordinator that dies is started again and answered from the journal, until it reaches the present.
use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::server::{Danube, until};

/// Runs until it is let go; says how often it ran.
const WAIT: &str = "lambda name: step.run(f'echo {name} >> runs; echo up; until test -e go; do sleep 0.02; done; echo end', name=name, image='host')";

/// Which process of a coordinator dies.
#[derive(Clone, Copy)]
enum Dies {
    /// Its supervisor.
    Shim,
    /// The first process of its container.
    Init,
    /// The interpreter.
    Python,
}

fn number(path: PathBuf) -> Option<i32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn kill(pid: i32) {
    let _gone = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

/// A process whose parent this one is.
fn child_of(parent: i32) -> Option<i32> {
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let line = format!("PPid:\t{parent}\n");
    let mut pids = pids
        .filter(|pid: &i32| fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|text| text.contains(&line)));
    pids.next()
}

/// The newest coordinator of a job, once its interpreter runs.
struct Coordinator {
    n: u32,
    shim: i32,
    init: i32,
    python: i32,
}

impl Coordinator {
    #[track_caller]
    fn newest(server: &Danube, job: &str) -> Self {
        let steps = server.tree().join("jobs").join(job).join("steps");
        until("a coordinator runs", || {
            let n = (1..).take_while(|n| steps.join(format!("0.{n}")).exists()).last()?;
            let dir = steps.join(format!("0.{n}"));
            let started: Value = serde_json::from_slice(&fs::read(dir.join("rec/started")).ok()?).ok()?;
            let init = number(dir.join("pid"))?;
            let python = child_of(init)?;
            Some(Self { n, shim: i32::try_from(started["pid"].as_i64()?).ok()?, init, python })
        })
    }

    fn dies(&self, which: Dies) {
        kill(match which {
            Dies::Shim => self.shim,
            Dies::Init => self.init,
            Dies::Python => self.python,
        });
    }

    /// Waits until it has come to where the one before it was.
    #[track_caller]
    fn waits(&self, server: &Danube, job: &str) {
        let log = server.data().join("logs").join(job).join(format!("0.{}.log", self.n));
        until("it comes back to where it was", || {
            assert_eq!(server.job(job)["status"], "running", "{:#}", server.job(job));
            fs::read_to_string(&log).unwrap_or_default().contains("all seen").then_some(())
        });
    }
}

fn calls(server: &Danube, job: &str) -> u32 {
    let count = "SELECT count(*) FROM journal WHERE job_id = ?1";
    server.database().query_row(count, [job], |row| row.get(0)).unwrap()
}

/// A job that waits in two steps, is hurt, and comes to its end as if nothing had been.
fn survives(hurt: impl FnOnce(&mut Danube, &str)) {
    let mut server = Danube::building(&[
        &format!("wait = {WAIT}"),
        "try:",
        "    missing = str(secrets.get('NOT_THERE'))",
        "except Exception as error:",
        "    missing = type(error).__name__",
        "stamp, chance, files = ctx.now(), ctx.random(), ctx.hash('**')",
        "made = step.run('date +%s%N', name='made', image='host', capture=True).stdout.strip()",
        "seen = f'{ctx.commit_sha} {stamp} {chance} {ctx.changed(\"**\")} {files} {missing} {made}'",
        "step.run(f'echo {seen}', name='before', image='host')",
        "print('all seen', flush=True)",
        "step.parallel(lambda: wait('a'), lambda: wait('b'))",
        "step.run(f'echo {seen}; cat runs', name='after', image='host')",
    ]);
    let job = server.trigger();
    for n in [3, 4] {
        until("the step runs", || server.log(&job, n).contains("up").then_some(()));
    }
    let recorded = calls(&server, &job);
    hurt(&mut server, &job);
    Coordinator::newest(&server, &job).waits(&server, &job);
    assert_eq!(calls(&server, &job), recorded, "no call is new");
    fs::write(server.workspace(&job).join("go"), "").unwrap();
    let ended = server.succeeds(&job);
    assert_eq!(ended["attempt"], 1, "{ended:#}");
    let names: Vec<_> =
        ended["steps"].as_array().unwrap().iter().map(|step| (&step["name"], &step["attempt"])).collect();
    assert!(names.len() == 5 && names.iter().all(|(_, attempt)| **attempt == 1), "{names:?}");
    let (before, after) = (server.log(&job, 2), server.log(&job, 5));
    let mut lines: Vec<&str> = after.lines().collect();
    assert_eq!(format!("{}\n", lines.remove(0)), before, "the same values");
    assert!(before.contains(" True ") && before.contains("SecretNotFound"), "{before}");
    lines.sort_unstable();
    assert_eq!(lines, ["a", "b"], "each step ran once");
}

#[test]
fn a_coordinator_that_is_killed_sees_the_recorded_values_and_meets_its_steps() {
    survives(|server, job| {
        for which in [Dies::Shim, Dies::Init, Dies::Python] {
            let coordinator = Coordinator::newest(server, job);
            coordinator.waits(server, job);
            coordinator.dies(which);
            until("another one runs", || (Coordinator::newest(server, job).n > coordinator.n).then_some(()));
        }
    });
}

#[test]
fn a_coordinator_that_is_killed_with_the_server_goes_on_with_the_next_one() {
    survives(|server, job| {
        let coordinator = Coordinator::newest(server, job);
        server.kill();
        coordinator.dies(Dies::Init);
        server.start();
        until("another one runs", || (Coordinator::newest(server, job).n > coordinator.n).then_some(()));
    });
}

#[test]
fn a_danubefile_that_kills_itself_is_not_started_for_ever() {
    let server = Danube::building(&["import os", "step.run('true', image='host')", "os.kill(os.getpid(), 9)"]);
    let job = server.trigger();
    let ended = server.ended(&job);
    assert_eq!(ended["status"], "failure", "{ended:#}");
    let reason = ended["reason"].as_str().unwrap();
    assert!(
        reason.contains("the danubefile was killed") && reason.contains("times without making a further call"),
        "{reason}"
    );
}

#[test]
fn a_danubefile_that_goes_another_way_is_told_with_its_line_and_both_calls() {
    let server = Danube::building(&[
        &format!("wait = {WAIT}"),
        "import time",
        "name = f'at {time.monotonic_ns()}'",
        "step.run('true', name=name, image='host')",
        "wait('long')",
    ]);
    let job = server.trigger();
    until("the step runs", || server.log(&job, 2).contains("up").then_some(()));
    let first = server.job(&job)["steps"][0]["name"].as_str().unwrap().to_owned();
    Coordinator::newest(&server, &job).dies(Dies::Shim);
    let ended = server.ended(&job);
    assert_eq!(ended["status"], "failure", "{ended:#}");
    assert_eq!(ended["steps"][1]["status"], "cancelled", "what ran ends with its job: {ended:#}");
    let told = |what: &str, text: &str| {
        for part in [
            "nondeterministic pipeline: the call /run#0 is not the one that was recorded",
            "recorded at danubefile.py:9: run(command=\"true\", image=\"host\", name=",
            "now at danubefile.py:9: run(command=\"true\", image=\"host\", name=",
            first.as_str(),
        ] {
            assert!(text.contains(part), "no {part:?} in {what}: {text}");
        }
    };
    told("the reason", ended["reason"].as_str().unwrap());
    let log = server.get(&format!("/api/v1/jobs/{job}/log")).text();
    told("the log", &log);
    let summary = server.get(&format!("/api/v1/jobs/{job}/summary")).with(200);
    assert_eq!(summary["why"]["kind"], "nondeterministic", "{summary:#}");
    let words = |value: &Value| value.to_string().replace("\\\"", "\"").replace("\\n", "\n");
    told("the summary", &words(&summary));
    let shown = server.danube(&["job", "show", "app#1"]);
    told("job show", &String::from_utf8_lossy(&shown.stdout));
    let page =
        crate::support::http::send(&server.socket(), "GET", &format!("/jobs/{job}"), &[("Accept", "text/html")], b"");
    told("the page", &page.unwrap().text().replace("&#34;", "\"").replace("&quot;", "\""));
}
