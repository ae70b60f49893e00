//! The command line as people meet it: codes, sentences, and a log that is followed over a restart.
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::danube;
use crate::support::http::Door;
use crate::support::server::Danube;

const COUNT: &str = "step.run('i=0; until test -e go; do i=$((i+1)); echo line $i; sleep 0.01; done; echo end $i', \
                     name='count', image='host', network=False)";

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The program as somebody with this home runs it.
fn at_home(home: &Path, words: &[&str], input: &str) -> Output {
    let mut command = Command::new(danube());
    command.args(words).env("HOME", home).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in ["XDG_CONFIG_HOME", "DANUBE_SERVER", "DANUBE_TOKEN", "DANUBE_SOCKET"] {
        command.env_remove(name);
    }
    let mut child = command.spawn().unwrap();
    // Who reads no input may be gone already.
    let _gone = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn a_followed_log_is_whole_over_a_killed_server_and_says_so_once() {
    let mut server = Danube::building(&[COUNT]);
    let job = server.trigger();
    let mut follower = Command::new(danube())
        .args(["logs", &job, "--step", "1", "-f", "--socket"])
        .arg(server.data().join("api.sock"))
        .env_remove("DANUBE_SERVER")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap());
    let mut got = String::new();
    lines.read_line(&mut got).unwrap();
    server.kill();
    server.start();
    fs::write(server.workspace(&job).join("go"), "").unwrap();
    server.succeeds(&job);
    lines.read_to_string(&mut got).unwrap();
    let ended = follower.wait_with_output().unwrap();
    let whole = server.get(&format!("/api/v1/jobs/{job}/steps/1/log")).text();
    assert_eq!(got, whole, "the follower's log is another one");
    assert!(got.contains("end "), "{got}");
    let said = text(&ended.stderr);
    assert_eq!((ended.status.code(), said.matches("trying again").count()), (Some(0), 1), "{said}");
}

#[test]
fn a_red_job_is_explained_on_top_and_in_the_exit_code() {
    let server = Danube::building(&[
        "step.run('echo one; echo error: no such thing; exit 3', name='unit', image='host', network=False)",
    ]);
    let waited = server.danube(&["trigger", "app", "--wait"]);
    let said = text(&waited.stdout);
    assert_eq!(waited.status.code(), Some(1), "{said}");
    assert!(said.contains("the first failing lines of step 1, unit") && !said.contains('\u{1b}'), "{said}");

    let shown = text(&server.danube(&["job", "show", "app#1"]).stdout);
    let answer: Vec<&str> = shown.lines().take(5).collect();
    assert!(answer[0].starts_with("✗ failure app#1: Step \"unit\" exited with code 3"), "{shown}");
    assert!(answer.iter().any(|line| line.contains("error: no such thing")), "{shown}");
    let shown: Value = serde_json::from_slice(&server.danube(&["job", "show", "app#1", "--json"]).stdout).unwrap();
    assert_eq!((&shown["status"], &shown["summary"]["why"]["kind"]), (&json!("failure"), &json!("exit")));

    let found = text(&server.danube(&["logs", "app#1", "--grep", "^error"]).stdout);
    assert_eq!(found, "error: no such thing\n");
    let timed = text(&server.danube(&["logs", "app#1", "--step", "1", "--timestamps"]).stdout);
    let first: Vec<&str> = timed.lines().next().unwrap().splitn(2, ' ').collect();
    assert!(first[0].ends_with('Z') && first[1] == "one", "{timed}");
    let early = server.danube(&["logs", "app#1", "--since", "2099-01-01"]);
    assert_eq!((early.status.code(), text(&early.stdout)), (Some(0), String::new()));

    let all: Value = serde_json::from_slice(&server.danube(&["job", "list", "--all", "--json"]).stdout).unwrap();
    assert_eq!((all["jobs"].as_array().unwrap().len(), &all["jobs"][0]["number"]), (1, &json!(1)));
    let wrong = server.danube(&["trigger", "ap"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("Did you mean 'app'?"), "{}", text(&wrong.stderr));
    let mistyped = server.danube(&["triger", "app"]);
    assert_eq!(mistyped.status.code(), Some(64));
    assert!(text(&mistyped.stderr).contains("'trigger'"), "{}", text(&mistyped.stderr));
}

#[test]
fn a_login_is_checked_kept_used_and_forgotten() {
    let server = Danube::building(&["pass"]);
    let home = server.path("home");
    fs::create_dir(&home).unwrap();
    let Door::Network(address) = server.network() else { panic!("the network has a door") };
    let url = format!("http://{address}");
    let made = server.danube(&["token", "create", "laptop"]);
    let token = text(&made.stdout);

    let wrong = at_home(&home, &["login", &url], "danube_wrong\n");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("wrong, expired or revoked"), "{}", text(&wrong.stderr));
    let kept = home.join(".config/danube/login.json");
    assert!(!kept.exists(), "what does not work is not kept");

    let well = at_home(&home, &["login", &url], &token);
    assert_eq!(well.status.code(), Some(0), "{}", text(&well.stderr));
    assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o777, 0o600);
    assert!(!text(&well.stdout).contains(token.trim()), "the token is not shown");
    let me: Value = serde_json::from_slice(&at_home(&home, &["whoami", "--json"], "").stdout).unwrap();
    assert_eq!(me["kind"], "token");
    let status = at_home(&home, &["status"], "");
    assert!(text(&status.stdout).contains(&url), "{}{}", text(&status.stdout), text(&status.stderr));

    assert_eq!(at_home(&home, &["logout"], "").status.code(), Some(0));
    assert!(!kept.exists());
    let nobody = at_home(&home, &["whoami", "--server", &url], "");
    assert_eq!(nobody.status.code(), Some(1), "{}", text(&nobody.stderr));
}

#[test]
fn the_machines_administrator_sees_how_the_server_is_and_who_did_what() {
    let server = Danube::building(&["pass"]);
    let job = server.trigger();
    server.ended(&job);
    let status = server.danube(&["status"]);
    assert_eq!(status.status.code(), Some(0), "{}", text(&status.stderr));
    assert!(text(&status.stdout).contains("is well"), "{}", text(&status.stdout));
    let audit: Value = serde_json::from_slice(&server.danube(&["audit", "--since", "1h", "--json"]).stdout).unwrap();
    assert!(!audit["lines"].as_array().unwrap().is_empty(), "{audit:#}");
    let none = server.danube(&["audit", "--principal", "nobody@example.com"]);
    assert_eq!(text(&none.stdout), "no lines\n");
}

#[test]
fn a_server_that_is_not_there_is_said_in_a_sentence_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    // Free a moment ago: nobody listens there.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    drop(taken);
    let output = at_home(home.path(), &["job", "list", "--server", &format!("http://127.0.0.1:{port}")], "");
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert!(said.contains("no Danube server answers") && said.contains("check the port"), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
}
