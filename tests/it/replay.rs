//! A job that has ended is run again from its record, in the Python of the person, with a debugger on a terminal.
use std::fs;
use std::process::{Command, Stdio};

use super::support::danube;
use super::support::run::Run;
use super::support::server::{Danube, danubefile, until};

const TERMINAL: &str = include_str!("replay.py");

/// What was printed, and the exit code.
pub(crate) struct Seen {
    pub(crate) code: i32,
    pub(crate) text: String,
}

impl Seen {
    fn of(mut command: Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        Self { code: output.status.code().unwrap_or(-1), text: String::from_utf8_lossy(&text).into_owned() }
    }

    #[track_caller]
    fn has(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.text.contains(part), "no {part:?} in (exit code {}):\n{}", self.code, self.text);
        }
    }

    #[track_caller]
    fn ends(&self, code: i32) {
        assert_eq!(self.code, code, "{}", self.text);
    }
}

/// The same command on a terminal, where these lines are typed at the debugger's prompts.
pub(crate) fn typed(command: &Command, lines: &[&str]) -> Seen {
    let mut terminal = Command::new("/usr/bin/python3");
    terminal.args(["-I", "-c", TERMINAL]).arg(serde_json::to_string(lines).unwrap());
    terminal.arg(command.get_program()).args(command.get_args()).env("TERM", "dumb");
    Seen::of(terminal)
}

/// A run that has ended, to be replayed.
fn ran(body: &str) -> Run {
    let run = Run::body(body);
    run.end();
    run
}

fn replay(run: &Run, arguments: &[&str]) -> Command {
    let mut command = Command::new(danube());
    command.arg("replay").arg(run.repo()).arg("--data-dir").arg(run.data()).args(arguments);
    command
}

#[test]
fn a_failed_job_of_a_server_stops_in_a_debugger_at_the_failing_line_with_the_recorded_values() {
    let lines = [
        "value = step.run('echo 41', name='count', image='host', capture=True).stdout",
        "when = ctx.now()",
        "chance = ctx.random()",
        "files = ctx.hash('**')",
        "step.run(f'echo {value.strip()}; exit 3', name='test', image='host')",
    ];
    let server = Danube::with(&crate::support::server::Setup {
        files: &[
            ("danubefile.py", &format!("import helper\n{}", danubefile(&lines))),
            ("helper.py", "WORD = 'help'\n"),
        ],
        pipeline: crate::support::server::TRIGGERS,
        global: "",
    });
    let id = server.trigger();
    let job = server.ended(&id);
    assert_eq!(job["status"], "failure", "{job:#}");
    let recorded = server.get(&format!("/api/v1/jobs/{id}/replay")).with(200);
    // Page by page it is the same.
    let (mut pages, mut next) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/api/v1/jobs/{id}/replay?limit=2{next}")).with(200);
        pages.extend(page["calls"].as_array().unwrap().clone());
        let Some(cursor) = page["next"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(&pages, recorded["calls"].as_array().unwrap());
    assert!(recorded["next"].is_null() && pages.len() > 4, "{recorded:#}");
    let call =
        |key: &str| recorded["calls"].as_array().unwrap().iter().find(|call| call["key"] == key).unwrap().clone();
    let mut command = Command::new(danube());
    command.args(["replay", "app#1", "--socket"]).arg(server.data().join("api.sock"));
    let seen = typed(&command, &["p value", "p ctx.branch", "p (when, chance)", "p helper.WORD", "up", "q"]);
    seen.has(&[
        "replaying app#1 ended as failure: step \"test\" failed: exit code 3",
        "danubefile.py:7  run(",
        "-> exit code 3 after",
        "/danubefile.py(11)build()\n-> step.run(f'echo {value.strip()}; exit 3'",
        "(Pdb) p value\n'41\\n'\n",
        "(Pdb) p ctx.branch\n'main'\n",
        "(Pdb) p helper.WORD\n'help'\n",
        "the replay failed, as app#1 did",
    ]);
    let pair =
        format!("('{}', {})\n", call("/now#0")["answer"]["ok"].as_str().unwrap(), call("/random#0")["answer"]["ok"]);
    seen.has(&[&pair]);
    seen.ends(0);
    assert_eq!(server.job(&id), job, "nothing of the job is changed");
    assert_eq!(server.get(&format!("/api/v1/jobs/{id}/replay")).with(200), recorded);
    // Who may only look sees neither; a job that runs on is not replayed.
    let missing = server.danube(&["replay", "app#2"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("job app#2 is not there"));
}

#[test]
fn a_job_that_was_stopped_in_a_step_ends_there_and_an_unended_one_is_refused() {
    let server = Danube::building(&[
        "before = 7",
        "step.run('echo up; while :; do sleep 0.05; done', name='long', image='host')",
    ]);
    let id = server.trigger();
    until("the step runs", || server.log(&id, 1).contains("up").then_some(()));
    let early = server.danube(&["replay", "app#1"]);
    let said = String::from_utf8_lossy(&early.stderr).into_owned();
    assert!(
        early.status.code() == Some(1) && said.contains("app#1 is running: it can be replayed when it has ended"),
        "{said}"
    );
    server.post(&format!("/api/v1/jobs/{id}/cancel"), &serde_json::Value::Null).with(202);
    server.ended(&id);
    let mut command = Command::new(danube());
    command.args(["replay", "app#1", "--socket"]).arg(server.data().join("api.sock"));
    let seen = typed(&command, &["p before", "p ctx.branch", "q"]);
    seen.has(&[
        "the recorded run ends here: app#1 ended before this call was answered\n  danubefile.py:7: run(",
        "app#1 ended as cancelled",
        "(Pdb) p before\n7\n",
        "(Pdb) p ctx.branch\n'main'\n",
    ]);
    seen.ends(0);
}

#[test]
fn without_a_debugger_the_lines_are_printed_with_their_values() {
    let run = ran(
        "version = step.run('echo 1.4.0', image='host', capture=True).stdout.strip()\nif version != '2.0':\n    raise ValueError('old')\n",
    );
    let nobody = Seen::of(replay(&run, &["--python", "/nowhere/python3"]));
    nobody.has(&["cannot run /nowhere/python3: install Python 3.11 or newer"]);
    nobody.ends(1);
    let scratch = tempfile::tempdir().unwrap();
    let mut command = replay(&run, &[]);
    command.env("TMPDIR", scratch.path());
    let seen = Seen::of(command);
    seen.has(&[
        "File \"danubefile.py\", line 6, in build\n    raise ValueError('old')\n    version = '1.4.0'\n",
        "ValueError: old\n",
        "the replay failed, as repo#1 did",
    ]);
    assert!(!seen.text.contains("_run.py") && !seen.text.contains("(Pdb)"), "{}", seen.text);
    seen.ends(0);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "nothing stays");
}

#[test]
fn a_failure_in_a_branch_stops_at_the_line_of_the_branch() {
    let run = ran(
        "def one(n):\n    step.run(f'test {n} = 1', name=f'n{n}', image='host')\nstep.matrix(one, {'n': ['1', '2']})\n",
    );
    let seen = typed(&replay(&run, &[]), &["p n", "up", "q"]);
    seen.has(&["/danubefile.py(5)one()\n-> step.run(f'test {n} = 1'", "(Pdb) p n\n'2'\n"]);
    seen.ends(0);
}

#[test]
fn it_stops_before_a_line_that_is_asked_for() {
    let run = ran("one = step.run('true', name='one', image='host')\ntwo = 2\nassert one.exit_code == 0\n");
    let seen = typed(&replay(&run, &["--break", "5"]), &["p one.exit_code, 'two' in locals()", "n", "p two", "c"]);
    seen.has(&[
        "/danubefile.py(5)build()\n-> two = 2\n",
        "(0, False)\n",
        "-> assert one.exit_code == 0\n",
        "(Pdb) p two\n2\n",
        "the replay ended well, as repo#1 did",
    ]);
    seen.ends(0);
    let nowhere = Seen::of(replay(&run, &["--break", "900", "--debugger", "pdb"]));
    nowhere.has(&["cannot stop at line 900 of danubefile.py"]);
    nowhere.ends(64);
    let plain = Seen::of(replay(&run, &["--break", "5"]));
    plain.has(&["--break needs the debugger"]);
    plain.ends(64);
}

#[test]
fn a_changed_danubefile_goes_as_far_as_its_calls_are_the_recorded_ones() {
    let run = ran("step.run('true', name='one', image='host')\nstep.run('exit 4', name='two', image='host')\n");
    let edited = |body: &str| {
        fs::write(run.repo().join("danubefile.py"), super::support::run::pipeline(body)).unwrap();
        Seen::of(replay(&run, &[]))
    };
    let other =
        edited("step.run('true', name='one', image='host')\nlet = 5\nstep.run('exit 0', name='two', image='host')\n");
    other.has(&[
        "the danubefile makes another call here than repo#1 did\n  recorded at danubefile.py:5: run(command=\"exit 4\"",
        "now at danubefile.py:6: run(command=\"exit 0\"",
        "let = 5\n",
    ]);
    other.ends(1);
    let further = edited(
        "step.run('true', name='one', image='host')\nstep.run('exit 4', name='two', image='host', check=True)\n"
            .replace("check=True", "timeout='9s'")
            .as_str(),
    );
    further.has(&["another call here"]);
    let longer = edited(
        "try:\n    step.run('true', name='one', image='host')\n    step.run('exit 4', name='two', image='host')\nexcept StepFailed:\n    step.run('true', name='three', image='host')\n",
    );
    longer.has(&[
        "the recorded run ends here: repo#1 never made this call\n  danubefile.py:8: run(command=\"true\"",
        "name=\"three\"",
    ]);
    longer.ends(1);
    let fixed = edited(
        "try:\n    step.run('true', name='one', image='host')\n    step.run('exit 4', name='two', image='host')\nexcept StepFailed:\n    pass\n",
    );
    fixed.has(&["the replay ended well, while repo#1 ended as failure"]);
    fixed.ends(1);
}

#[test]
fn secrets_stay_secret_in_a_replay() {
    let run = Run::body(
        "token = secrets.get('TOKEN')\nmade = step.run('printf fresh-%s value', image='host', capture='secret').secret\n\
         secrets.mask('made-here')\nstep.run('exit 3', image='host', env={'A': token, 'B': 'made-here'})\n",
    )
    .env("DANUBE_SECRET_TOKEN", "hunter22-token");
    run.end();
    let seen = typed(&replay(&run, &[]), &["p token, made", "token.reveal()", "q"]);
    seen.has(&[
        "<danube secret TOKEN>",
        "-> exit code 3",
        "'TOKEN' can't be revealed",
        "the replay failed, as repo#1 did",
    ]);
    for value in ["hunter22", "fresh-value"] {
        assert!(!seen.text.contains(value), "{}", seen.text);
    }
    seen.ends(0);
    let run = Run::body("step.run('true', image='host')\nvalue = secrets.get('TOKEN').reveal()\n")
        .env("DANUBE_SECRET_TOKEN", "hunter22-token");
    run.end();
    let seen = Seen::of(replay(&run, &[]));
    seen.has(&["this is a replay, which has no values of secrets: 'TOKEN' can't be revealed"]);
}

#[test]
fn a_repository_without_a_run_says_so() {
    let run = Run::body("pass");
    let seen = Seen::of(replay(&run, &[]));
    seen.has(&["no run was kept in", "danube run"]);
    seen.ends(1);
    let mut nameless = Command::new(danube());
    nameless.args(["replay", "web"]);
    let seen = Seen::of(nameless);
    seen.has(&["a job is named like web#42"]);
    seen.ends(64);
}
