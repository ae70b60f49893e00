//! Why a job is red, slow or waiting: the same words for the page, the API and the command line.
use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, pipeline};
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
    let bench = Bench::new().await;
    let lease = bench.start("web", &Texts::usual()).await;
    let step = bench.step(lease, "unit", "", "one\nsrc/a.c:3: error: no\nmake: *** [all]\n").await;
    bench.end_step_as(lease, &step, status, cause, code, reason).await;
    bench.finish(lease, 1, Some("step \"unit\" failed: something")).await;
    summary(&bench, lease.job).await["why"].clone()
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
    let segv = "Step \"unit\" was ended by SIGSEGV (segmentation fault), exit code 139 after 12.4 s.";
    assert_eq!(signal, said("signal", segv));
    let oom = of(Oom, 137, Some("out of memory: its limit is 256 MiB")).await;
    assert_eq!(oom, said("oom", "Step \"unit\" ran out of memory: its limit is 256 MiB after 12.4 s."));
    let full = of(Exit, 125, Some("it wrote more than 1 GiB of output")).await;
    assert_eq!(full, said("exit", "Step \"unit\" failed: it wrote more than 1 GiB of output after 12.4 s."));
    let lost = of(Infra, 125, Some("the attempt was lost")).await;
    assert_eq!(lost, said("infrastructure", "Step \"unit\" was lost: the attempt was lost after 12.4 s."));
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
