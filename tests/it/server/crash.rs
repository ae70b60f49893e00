//! Processes die at once, as by `kill -9`; what runs goes on, once, and no byte of its log is lost.
use std::fs;
use std::path::PathBuf;

use crate::support::repo::commit;
use crate::support::server::{Danube, head, until};

/// Prints numbered lines until it is let go.
const COUNT: &str = "step.run('echo started >> runs; i=0; until test -e go; do i=$((i+1)); echo line $i; sleep 0.01; \
                     done; echo end $i', name='count', image='host')";

struct Counting {
    server: Danube,
    job: String,
}

impl Counting {
    fn start() -> Self {
        let server = Danube::building(&[COUNT, "step.run('cat runs', name='runs', image='host')"]);
        let job = server.trigger();
        let this = Self { server, job };
        this.grows();
        this
    }

    fn log(&self) -> PathBuf {
        self.server.data().join("logs").join(&self.job).join("1.1.log")
    }

    fn size(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |meta| meta.len())
    }

    /// Waits until the step has printed more than it has now.
    #[track_caller]
    fn grows(&self) {
        let before = self.size();
        until("the step prints more", || (self.size() > before + 50).then_some(()));
    }

    /// Lets the step go, and checks everything it left.
    #[track_caller]
    fn ends_whole(self) {
        self.grows();
        fs::write(self.server.workspace(&self.job).join("go"), "").unwrap();
        let job = self.server.succeeds(&self.job);
        assert_eq!(job["attempt"], 1, "the job was not started again: {job:#}");
        let steps: Vec<_> = job["steps"].as_array().unwrap().iter().map(|step| &step["attempt"]).collect();
        assert_eq!(steps, [1, 1]);
        let log = self.server.log(&self.job, 1);
        let lines = log.lines().count() - 1;
        let whole: String = (1..=lines).map(|n| format!("line {n}\n")).collect();
        assert!(log == format!("{whole}end {lines}\n"), "the log has {lines} lines, but not each of them once");
        assert_eq!(self.server.log(&self.job, 2), "started\n", "the step ran once");
        assert_eq!(job["steps"][0]["log_bytes"].as_u64(), Some(self.size()));
    }
}

#[test]
fn a_step_outlives_a_server_that_is_killed_twice() {
    let mut this = Counting::start();
    for _ in 0..2 {
        this.server.kill();
        this.grows();
        this.server.start();
        until("the step is met", || {
            let job = this.server.job(&this.job);
            assert_eq!(job["status"], "running", "{job:#}");
            (job["steps"][0]["status"] == "running").then_some(())
        });
        this.grows();
    }
    this.ends_whole();
}

#[test]
fn a_step_outlives_the_executor() {
    let this = Counting::start();
    let words = this.server.kill_executor();
    this.grows();
    this.server.start_executor(&words);
    this.ends_whole();
}

#[test]
fn a_step_outlives_server_and_executor_together() {
    let mut this = Counting::start();
    this.server.kill();
    this.server.kill_executor();
    this.grows();
    this.server.start();
    this.ends_whole();
}

#[test]
fn a_step_that_ends_while_nobody_looks_is_met_at_the_next_start() {
    let mut this = Counting::start();
    this.server.kill();
    fs::write(this.server.workspace(&this.job).join("go"), "").unwrap();
    until("the step has ended", || fs::read_to_string(this.log()).unwrap_or_default().contains("end ").then_some(()));
    this.server.start();
    this.server.succeeds(&this.job);
    assert_eq!(this.server.log(&this.job, 2), "started\n");
}

#[test]
fn the_exit_code_and_the_last_bytes_of_a_step_that_ends_while_nobody_lives_are_met() {
    let words = "printf 'first\\n'; touch up; until test -e go; do sleep 0.01; done; printf 'no end of line'; exit 37";
    let mut server = Danube::building(&[
        &format!("end = step.run(\"{words}\", name='end', image='host', check=False)"),
        "step.run(f'echo it was {end.exit_code}', name='tell', image='host')",
    ]);
    for kill_executor_first in [true, false] {
        let job = server.trigger();
        until("the step runs", || server.workspace(&job).join("up").exists().then_some(()));
        let workspace = server.workspace(&job);
        if kill_executor_first {
            server.kill_executor();
            server.kill();
        } else {
            server.kill();
            server.kill_executor();
        }
        fs::write(workspace.join("go"), "").unwrap();
        let log = server.data().join("logs").join(&job).join("1.1.log");
        until("the step has ended", || fs::read_to_string(&log).unwrap_or_default().ends_with("line").then_some(()));
        server.start();
        let ended = server.succeeds(&job);
        assert_eq!((&ended["attempt"], &ended["steps"][0]["attempt"]), (&1.into(), &1.into()), "{ended:#}");
        assert_eq!(ended["steps"][0]["exit_code"], 37);
        assert_eq!(server.log(&job, 2), "it was 37\n");
        assert!(fs::read(&log).unwrap().ends_with(b"first\nno end of line"));
    }
}

#[test]
fn a_server_that_is_told_to_stop_leaves_steps_running() {
    let mut this = Counting::start();
    this.server.stop();
    this.grows();
    this.server.start();
    this.ends_whole();
}

#[test]
fn what_was_acknowledged_outlives_the_server() {
    let mut server = Danube::building(&["step.run('true', name='make', image='host')"]);
    let before = head(&server.app());
    let pushed = commit(&server.app(), &[("a", "b")], "change");
    server.deliver("d-1", "refs/heads/main", &before, &pushed).with(202);
    server.kill();
    server.start();
    let id = until("the push starts a job", || Some(server.jobs().first()?["id"].as_str().unwrap().to_owned()));
    assert_eq!(server.succeeds(&id)["trigger"], "webhook");
    let asked = server.trigger();
    server.kill();
    server.start();
    assert_eq!(server.succeeds(&asked)["trigger"], "manual");
    assert_eq!(server.jobs().len(), 2);
}

/// Killed whenever the job has come a little further, the server brings it to the same end.
#[test]
fn a_job_gets_through_however_often_the_server_dies() {
    let mut server = Danube::building(&[
        "step.run('echo one >> runs', name='one', image='host')",
        "two = lambda: step.run('echo two >> runs', name='two', image='host')",
        "three = lambda: step.run('echo three >> runs', name='three', image='host')",
        "step.parallel(two, three)",
        "text = step.run('sort runs; echo last >> runs', name='last', image='host', capture=True).stdout",
        "assert text == 'one\\nthree\\ntwo\\n', text",
        "artifacts.upload('runs', name='runs')",
    ]);
    let id = server.trigger();
    let mut kills = 0;
    // How far it is: calls begun and answered, steps begun and ended, artifacts, the end, the record.
    let far = "SELECT (SELECT count(*) + count(done_at) FROM journal WHERE job_id = ?1) + (SELECT count(started_at) + \
               count(finished_at) FROM steps WHERE job_id = ?1) + (SELECT count(*) FROM artifacts WHERE job_id = ?1) + \
               (SELECT count(finished_at) FROM jobs WHERE id = ?1) + (SELECT count(*) FROM attestations WHERE job_id = ?1)";
    loop {
        let count = || server.database().query_row(far, [&id], |row| row.get::<_, u32>(0)).unwrap();
        let (before, recorded) = (count(), server.get(&format!("/api/v1/jobs/{id}/attestation")).status == 200);
        if recorded {
            break;
        }
        until("the job comes further", || (count() > before).then_some(()));
        server.kill();
        kills += 1;
        server.start();
    }
    assert!(kills > 3, "it was killed {kills} times only");
    let job = server.succeeds(&id);
    assert_eq!(job["attempt"], 1, "{job:#}");
    let names: Vec<_> = job["steps"].as_array().unwrap().iter().map(|step| (&step["name"], &step["attempt"])).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names.iter().all(|(_, attempt)| **attempt == 1), "{names:?}");
    let runs = server.get(&format!("/api/v1/jobs/{id}/artifacts/runs")).text();
    let mut lines: Vec<&str> = runs.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["last", "one", "three", "two"], "each step ran once");
    let (records, artifacts): (u32, u32) = server
        .database()
        .query_row("SELECT (SELECT count(*) FROM attestations), (SELECT count(*) FROM artifacts)", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!((records, artifacts), (1, 1));
}
