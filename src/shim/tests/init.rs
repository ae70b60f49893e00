//! `danube-shim init` outside of a container: what the command gets and how its end is told.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use danube_shim::frame;
use danube_shim::start::ContainerStart;
use tempfile::TempDir;

struct Started {
    child: Child,
    dir: TempDir,
}

fn init(argv: &[&str], change: impl FnOnce(&mut ContainerStart)) -> Started {
    let dir = tempfile::tempdir().unwrap();
    let mut start = ContainerStart {
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("A".into(), "b c".into())],
        files: Vec::new(),
        workdir: dir.path().to_owned(),
        uid: None,
        gid: None,
        ready: None,
        user: None,
        trust: None,
        roots: None,
    };
    change(&mut start);
    fs::write(dir.path().join("frame"), frame::encode(&start).unwrap()).unwrap();
    let child = Command::new("sh")
        .args(["-c", "exec \"$0\" init 3<frame", env!("CARGO_BIN_EXE_danube-shim")])
        .current_dir(dir.path())
        .env("INHERITED", "no")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Started { child, dir }
}

/// Exit code, standard output, standard error.
fn end(started: Started) -> (Option<i32>, String, String) {
    let output = started.child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_command_gets_exactly_its_environment_a_home_and_its_directory() {
    let started =
        init(&["sh", "-c", "pwd; env -0 | tr '\\0' '\\n' | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^HOME="], |_| {});
    let here = format!("{}\nPATH=/usr/bin:/bin\nA=b c\n", started.dir.path().display());
    let (code, out, _) = end(started);
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(code, Some(0));
    assert_eq!(sorted(&out), sorted(&here));
}

#[test]
fn no_descriptor_but_the_three_reaches_the_command() {
    // No pipe in the command: the shell would hold an end of it for a moment, and `ls` might see it.
    let (_, out, _) = end(init(&["/bin/sh", "-c", "ls /proc/$$/fd; :"], |_| {}));
    assert_eq!(out, "0\n1\n2\n");
}

#[test]
fn the_end_of_the_command_is_told() {
    let code = |script| end(init(&["/bin/sh", "-c", script], |_| {})).0;
    assert_eq!(code("exit 7"), Some(7));
    assert_eq!(code("kill -9 $$"), Some(137));
    assert_eq!(code("sleep 1000 >&- 2>&- & kill $! ; exit 0"), Some(0));
}

#[test]
fn a_command_that_cannot_start_says_why() {
    let (code, _, err) = end(init(&["no-such-tool"], |_| {}));
    assert_eq!(code, Some(127));
    assert!(err.starts_with("danube: cannot start no-such-tool: No such file"), "{err}");
    let (code, _, err) = end(init(&["./frame"], |_| {}));
    assert_eq!(code, Some(126));
    assert!(err.starts_with("danube: cannot start ./frame: Permission denied"), "{err}");
    let (code, _, err) = end(init(&["true"], |start| start.workdir = "/no-such-dir".into()));
    assert_eq!(code, Some(126));
    assert!(err.starts_with("danube: cannot change to /no-such-dir: "), "{err}");
}

#[test]
fn a_signal_to_the_first_process_reaches_the_command() {
    let mut started =
        init(&["/bin/sh", "-c", "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.02; done"], |_| {});
    let mut out = BufReader::new(started.child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    danube_shim::sys::kill(started.child.id().cast_signed(), libc::SIGTERM);
    line.clear();
    out.read_line(&mut line).unwrap();
    assert_eq!((line.as_str(), started.child.wait().unwrap().code()), ("bye\n", Some(5)));
}
