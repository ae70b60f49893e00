//! Why a job is red, slow or waiting: the same words for the page, the API and the command line.
use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, pipeline};
use super::html::decode;
use super::rows::Texts;
use crate::mirror::Mirror;
use crate::mirror::testing::Source;
use crate::model::job::Event;
use crate::model::step::{Cause, StepStatus};
use crate::model::{JobId, Principal};
use crate::queue;

async fn summary(bench: &Bench, job: JobId) -> Value {
    bench.get(&format!("/api/v1/jobs/{job}/summary"), &bench.login("alice").await).await.json()
}

/// A job whose only step ended so.
async fn ended(status: StepStatus, cause: Cause, code: i32, reason: Option<&str>) -> Value {
    let log = "one\nsrc/a.c:3: error: no\nmake: *** [all]\n";
    let (bench, job) = ended_with(log, status, cause, code, reason).await;
    summary(&bench, job).await["why"].clone()
}

/// The same with a log.
async fn ended_with(log: &str, status: StepStatus, cause: Cause, code: i32, reason: Option<&str>) -> (Bench, JobId) {
    let bench = Bench::new().await;
    let lease = bench.start("web", &Texts::usual()).await;
    let step = bench.step(lease, "unit", "", log).await;
    bench.end_step_as(lease, &step, status, cause, code, reason).await;
    bench.finish(lease, 1, Some("step \"unit\" failed: something")).await;
    (bench, lease.job)
}

/// A job whose only step exited with 1.
async fn failed_with(log: &str) -> (Bench, JobId) {
    ended_with(log, StepStatus::Failure, Cause::Exit, 1, Some("exit code 1")).await
}

#[tokio::test]
async fn each_end_of_a_step_has_its_kind_and_its_sentence() {
    use Cause::{Exit, Infra, Oom};
    use StepStatus::Failure;
    let of = async |cause, code, reason| {
        let why = ended(Failure, cause, code, reason).await;
        (why["kind"].as_str().unwrap().to_owned(), why["sentence"].as_str().unwrap().to_owned())
    };
    let said = |kind: &str, sentence: &str| (kind.to_owned(), sentence.to_owned());
    let exit = of(Exit, 3, Some("exit code 3")).await;
    assert_eq!(exit, said("exit", "Step \"unit\" exited with code 3 after 12.4 s."));
    let signal = of(Exit, 139, None).await;
    let segv = "Step \"unit\" was ended by SIGSEGV (segmentation fault, exit code 139) after 12.4 s.";
    assert_eq!(signal, said("signal", segv));
    let oom = of(Oom, 137, Some("out of memory: its limit is 256 MiB")).await;
    assert_eq!(oom, said("oom", "Step \"unit\" ran out of memory after 12.4 s: its limit is 256 MiB."));
    let full = of(Exit, 125, Some("it wrote more than 1 GiB of output")).await;
    assert_eq!(full, said("exit", "Step \"unit\" failed after 12.4 s: it wrote more than 1 GiB of output."));
    let survived =
        of(Exit, 1, Some("exit code 1; earlier a process of it was killed for lack of memory (limit 128 MiB)")).await;
    let said_so =
        "Step \"unit\" exited with code 1; earlier a process of it was killed for lack of memory (limit 128 MiB).";
    assert_eq!(survived, said("exit", said_so));
    // Its log says nothing of a command that was not found: the code may be the program's own.
    assert_eq!(of(Exit, 127, None).await, said("exit", "Step \"unit\" exited with code 127 after 12.4 s."));
    let lost = of(Infra, 125, Some("the attempt was lost")).await;
    assert_eq!(lost, said("infrastructure", "Step \"unit\" was lost after 12.4 s: the attempt was lost."));
    let late = ended(StepStatus::Timeout, Cause::Timeout, 143, Some("it ran longer than its timeout of 2 s")).await;
    assert_eq!(late["kind"], "timeout");
    assert_eq!(late["sentence"], "Step \"unit\" ran longer than its timeout of 2 s.");
    assert_eq!((&late["step"], &late["exit_code"]), (&json!("unit"), &json!(143)));
}

#[tokio::test]
async fn the_first_failing_lines_come_with_their_place() {
    let why = ended(StepStatus::Failure, Cause::Exit, 2, None).await;
    assert_eq!(why["lines"][0], json!({"number": 2, "text": "src/a.c:3: error: no"}));
    assert_eq!((&why["log"]["step"], &why["log"]["line"], &why["log"]["error"]), (&json!(1), &json!(2), &json!(true)));
    assert!(why["log"]["url"].as_str().unwrap().ends_with("#s1-L2"), "{why}");
}

#[tokio::test]
async fn every_place_shows_the_same_line_and_the_last_ones_too() {
    let tests: String = (1..=300).map(|n| format!("test {n}: prints an error: as it is to\n")).collect();
    let before = "cc -c x.c\n".repeat(1002);
    let log = format!("{before}app.c:7:3: error: 'x' undeclared\n{tests}make: *** [Makefile:7: app] Error 1\n\n");
    let (bench, job) = failed_with(&log).await;
    let cookie = bench.login("alice").await;
    let why = summary(&bench, job).await["why"].clone();
    assert_eq!(why["lines"][0], json!({"number": 1003, "text": "app.c:7:3: error: 'x' undeclared"}));
    let last = why["lines"].as_array().unwrap().last().unwrap();
    assert_eq!(last, &json!({"number": 1304, "text": "make: *** [Makefile:7: app] Error 1"}));
    assert_eq!(why["log"]["line"], 1003);
    let read = summary(&bench, job).await["next"][0]["command"].clone();
    assert_eq!(read, "danube logs web#1 --step 1 --lines 983-1023");
    let page = decode(&bench.get(&format!("/jobs/{job}"), &cookie).await.text());
    assert!(page.contains("Go to line 1003 of the log"), "{page}");
    let dashboard = decode(&bench.get("/", &cookie).await.text());
    assert!(dashboard.contains("app.c:7:3: error: 'x' undeclared") && !dashboard.contains("make: ***"), "{dashboard}");
    let link = bench.get(&format!("/jobs/{job}/log?step=1&line=first-error"), &cookie).await;
    assert!(link.header("location").ends_with("&line=1003#s1-L1003"));
}

#[tokio::test]
async fn a_log_without_an_error_is_shown_from_its_end() {
    let log: String = (1..=90).map(|n| format!("line {n}\n")).collect();
    let (bench, job) = failed_with(&format!("danube: no network in the steps of this job: none\n{log}\n\n")).await;
    let seen = summary(&bench, job).await;
    let why = &seen["why"];
    assert_eq!((&why["log"]["error"], &why["log"]["line"]), (&json!(false), &json!(91)));
    assert_eq!(seen["next"][0]["text"], "Read the log's end");
    assert!(seen["next"][0]["url"].as_str().unwrap().ends_with("#s1-L91"), "{seen}");
    let page = bench.get(&format!("/jobs/{job}"), &bench.login("alice").await).await.text();
    assert!(page.contains("Go to the last line of the log"), "{page}");
    let (bench, job) = failed_with("danube: no network in the steps of this job: none\nbye\n").await;
    assert_eq!(summary(&bench, job).await["why"]["lines"], json!([{"number": 2, "text": "bye"}]));
}

#[tokio::test]
async fn a_command_that_was_not_found_is_said_where_the_log_says_so() {
    let not_found = ("sh: 1: cc: not found\n", " after 12.4 s: a command was not found.");
    for (log, end) in [not_found, ("127 tests failed\n", "exited with code 127 after 12.4 s.")] {
        let (bench, job) = ended_with(log, StepStatus::Failure, Cause::Exit, 127, Some("exit code 127")).await;
        let why = summary(&bench, job).await["why"].clone();
        assert!(why["sentence"].as_str().unwrap().ends_with(end), "{why}");
    }
}

#[tokio::test]
async fn a_kill_that_was_survived_is_not_blamed_and_its_remedy_is_named() {
    let log =
        "sh: 1: Killed\ngoing on\ngcc: error: missing.c: No such file or directory\ngcc: fatal error: no input files\n";
    let reason = "exit code 1; earlier a process of it was killed for lack of memory (limit 128 MiB)";
    let (bench, job) = ended_with(log, StepStatus::Failure, Cause::Exit, 1, Some(reason)).await;
    let seen = summary(&bench, job).await;
    assert_eq!(seen["why"]["lines"][0]["number"], 3);
    let changes: Vec<_> = seen["next"].as_array().unwrap().iter().filter(|action| action["do"] == "change").collect();
    assert!(changes[0]["text"].as_str().unwrap().contains("memory="), "{seen}");
}

#[tokio::test]
async fn the_line_of_an_exception_comes_with_its_place() {
    let bench = Bench::new().await;
    let lease = bench.start("web", &Texts::usual()).await;
    let log = "Traceback (most recent call last):\n  File \"danubefile.py\", line 21, in build\n    load()\n  File \
               \"/usr/lib/python3.11/json/decoder.py\", line 353, in raw_decode\n    raise x\njson.decoder.JSONDecodeError: \
               no\ndanube: the danubefile raised JSONDecodeError (danubefile.py:21)\n";
    let row = bench.coordinator(lease, log).await;
    bench.end_step(lease, &row, 1).await;
    bench.finish(lease, 1, Some("danubefile.py:21: json.decoder.JSONDecodeError: no")).await;
    let why = summary(&bench, lease.job).await["why"].clone();
    let lines: Vec<_> = why["lines"].as_array().unwrap().iter().map(|line| line["number"].as_u64().unwrap()).collect();
    assert_eq!((lines, &why["log"]["line"]), (vec![2, 3, 4, 5, 6, 7], &json!(6)));
}

#[tokio::test]
async fn a_further_failed_step_shows_its_line() {
    let bench = Bench::new().await;
    let lease = bench.start("web", &Texts::usual()).await;
    let unit = bench.step(lease, "unit", "", "a.c:1: error: one\n").await;
    let lint = bench.step(lease, "lint", "", "checking\nb.py:2: error: two\n").await;
    bench.end_step(lease, &unit, 1).await;
    bench.end_step(lease, &lint, 2).await;
    bench.finish(lease, 1, Some("step \"unit\" failed: exit code 1")).await;
    let why = summary(&bench, lease.job).await["why"].clone();
    assert_eq!((&why["also"], why["lines"][0]["text"].as_str()), (&json!(["lint"]), Some("a.c:1: error: one")));
    let other = &why["failed_too"][0];
    assert_eq!(other["line"], json!({"number": 2, "text": "b.py:2: error: two"}));
    assert!(other["sentence"].as_str().unwrap().starts_with("Step \"lint\" exited with code 2"), "{other}");
    let page = decode(&bench.get(&format!("/jobs/{}", lease.job), &bench.login("alice").await).await.text());
    assert!(page.contains("<code>b.py:2: error: two</code>"), "{page}");
}

#[tokio::test]
async fn failed_tests_are_counted_and_named() {
    let bench = Bench::new().await;
    let job = bench.failed_job("web", &Texts::usual()).await;
    let tests = summary(&bench, job).await["tests"].clone();
    let counts = (&tests["total"], &tests["failed"], &tests["newly_failing"]);
    assert_eq!(counts, (&json!(1), &json!(1), &json!(0)), "{tests}");
    assert_eq!((&tests["first"][0]["name"], &tests["first"][0]["state"]), (&json!("test 3.11"), &json!("failed")));
    let green = bench.green_job("web").await;
    assert_eq!(summary(&bench, green).await["tests"], Value::Null);
}

#[tokio::test]
async fn a_title_does_not_hide_the_commits_message() {
    let bench = Bench::new().await;
    let lease = bench.start("web", &Texts::usual()).await;
    let page = || async { bench.get(&format!("/jobs/{}", lease.job), &bench.login("alice").await).await.text() };
    let subject = "<span class=\"subject\">Reject bare carriage returns in comments</span>";
    assert!(!page().await.contains(subject));
    queue::declare(&bench.store, lease, Some("Site".to_owned()), None).await.unwrap();
    let page = page().await;
    assert!(page.contains("<h1 id=\"title\">Site</h1>") && page.contains(subject), "{page}");
}

#[tokio::test]
async fn a_new_branch_is_compared_with_the_main_one() {
    let bench = Bench::new().await;
    bench.green_job("web").await;
    let other = Texts { branch: "other".to_owned(), ..Texts::usual() };
    let lease = bench.start_at("web", &other, &"a".repeat(40)).await;
    bench.finish(lease, 0, None).await;
    let new = Texts { branch: "new".to_owned(), ..Texts::usual() };
    let lease = bench.start_at("web", &new, &"b".repeat(40)).await;
    bench.finish(lease, 1, Some("danubefile.py:1: ValueError: no")).await;
    let changed = summary(&bench, lease.job).await["changed"].clone();
    assert_eq!((&changed["since"]["job"], &changed["since"]["branch"]), (&json!("web#1"), &json!("main")));
    let sentence = changed["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with("No run of the branch new was green before. Compared with #1 of main, which was: another"),
        "{sentence}"
    );
}

#[tokio::test]
async fn the_end_of_a_whole_job_is_told_by_its_cause() {
    let reason = "nondeterministic pipeline: the call /run#1 is not the one that was recorded";
    let cases = [
        (Event::Exited { code: 1 }, "danubefile.py:4: ValueError: no", "danubefile", "danubefile.py:4: ValueError: no"),
        (Event::Exited { code: 1 }, reason, "nondeterministic", reason),
        (Event::Rejected, "the commit has no danubefile.py", "configuration", "the commit has no danubefile.py"),
        (
            Event::Lost { attempts_left: false },
            "the machine was restarted while the job ran",
            "infrastructure",
            "The machine or the executor lost the job: the machine was restarted while the job ran.",
        ),
        (
            Event::DeadlinePassed,
            "it ran longer than 60 s, which is `timeout=` of @pipeline",
            "timeout",
            "The job ran longer than 60 s, which is `timeout=` of @pipeline; step \"unit\" was running.",
        ),
    ];
    for (event, reason, kind, sentence) in cases {
        let bench = Bench::new().await;
        let lease = bench.start("web", &Texts::usual()).await;
        let step = bench.step(lease, "unit", "", "working\n").await;
        let status = if event == Event::DeadlinePassed { StepStatus::Cancelled } else { StepStatus::Success };
        bench.end_step_as(lease, &step, status, Cause::Success, 0, None).await;
        bench.finish_as(lease, event, Some(reason)).await;
        let why = summary(&bench, lease.job).await["why"].clone();
        assert_eq!((&why["kind"], &why["sentence"]), (&json!(kind), &json!(sentence)));
    }
}

#[tokio::test]
async fn a_cancelled_job_names_who_asked_and_a_waiting_one_its_reason() {
    let bench = Bench::new().await;
    let id = bench.enqueue("web", &Texts::usual()).await;
    let seen = summary(&bench, id).await;
    assert_eq!((&seen["status"], &seen["waiting"]["reason"]), (&json!("pending"), &json!("starts in a moment")));
    assert_eq!(seen["next"][0]["do"], "cancel");
    queue::cancel(&bench.store, id, Principal::System).await.unwrap();
    let why = summary(&bench, id).await["why"].clone();
    let label = Principal::System.label();
    assert_eq!(
        (&why["kind"], &why["sentence"]),
        (&json!("cancelled"), &json!(format!("Cancelled by {label} before it started.")))
    );
}

#[tokio::test]
async fn a_commit_that_was_green_before_is_maybe_flaky() {
    let bench = Bench::new().await;
    bench.green_job("web").await;
    let job = bench.failed_job("web", &Texts::usual()).await;
    let changed = summary(&bench, job).await["changed"].clone();
    assert_eq!(changed["passed"], "web#1");
    assert_eq!(changed["sentence"], "The same commit passed in web#1, and nothing changed: maybe flaky.");
    let first = bench.failed_job("tomli", &Texts::usual()).await;
    let changed = summary(&bench, first).await["changed"].clone();
    assert_eq!(
        (&changed["since"], &changed["sentence"]),
        (&Value::Null, &json!("No run of the branch main was green before."))
    );
}

#[tokio::test]
async fn the_commits_since_the_last_green_run_are_named() {
    let bench = Bench::new().await;
    let source = Source::new();
    let green = source.commit("main", "Green", &[("a", "1"), ("danubefile.py", "1")]);
    source.commit("main", "Between\n\nMore words.", &[("a", "2"), ("danubefile.py", "1")]);
    let red = source.commit("main", "Red", &[("a", "2"), ("danubefile.py", "2")]);
    let mirror = Mirror::path_of(bench.app.trigger.repos.dir(), &pipeline("web", "platform").repository);
    git2::build::RepoBuilder::new().bare(true).clone(&source.url(), &mirror).unwrap();
    let lease = bench.start_at("web", &Texts::usual(), &green).await;
    bench.finish(lease, 0, None).await;
    let lease = bench.start_at("web", &Texts::usual(), &red).await;
    bench.finish(lease, 1, Some("danubefile.py:1: ValueError: no")).await;
    let changed = summary(&bench, lease.job).await["changed"].clone();
    assert_eq!(changed["since"]["job"], "web#1");
    let subjects: Vec<_> = changed["commits"].as_array().unwrap().iter().map(|commit| &commit["subject"]).collect();
    assert_eq!(subjects, ["Red", "Between"]);
    assert_eq!((&changed["commits"][0]["author"], &changed["commits"][0]["sha"]), (&json!("Ada"), &json!(red)));
    assert_eq!((&changed["files"], &changed["danubefile"]), (&json!(2), &json!(true)));
    assert_eq!(changed["sentence"], "Changed since #1 was green: 2 commits, 2 files, the danubefile.");
}

#[tokio::test]
async fn a_step_that_takes_longer_than_usual_is_named() {
    let bench = Bench::new().await;
    for _ in 0..3 {
        bench.green_job("web").await;
    }
    let lease = bench.start("web", &Texts::usual()).await;
    let lint = bench.step(lease, "lint", "", "").await;
    bench.clock.advance(Duration::from_secs(30));
    bench.end_step(lease, &lint, 0).await;
    bench.finish(lease, 0, None).await;
    let slow = summary(&bench, lease.job).await["slow"].clone();
    assert_eq!((&slow["steps"][0]["name"], &slow["steps"][0]["times_usual"]), (&json!("lint"), &json!(3.4)));
    assert!(slow["sentence"].as_str().unwrap().contains("42.4 s instead of 12.4 s"), "{slow}");
    let usual = bench.green_job("web").await;
    assert_eq!(summary(&bench, usual).await["slow"], Value::Null);
}

#[tokio::test]
async fn a_stranger_learns_nothing() {
    let bench = Bench::new().await;
    let job = bench.failed_job("web", &Texts::usual()).await;
    let reply = bench.get(&format!("/api/v1/jobs/{job}/summary"), &bench.login("bob").await).await;
    assert_eq!(reply.status, 404);
    let reader = bench.get(&format!("/api/v1/jobs/{job}/summary"), &bench.login("carol").await).await;
    assert_eq!(reader.json()["why"]["kind"], "exit");
}
