use super::*;
use crate::mirror::testing::Source;
use crate::model::settings::TriggerRule;
use crate::platform::Tasks;
use crate::trigger::run;
use crate::trigger::run::run_once;
use crate::trigger::testing::{Bench, pipeline, push_body};

const ZEROS: &str = "0000000000000000000000000000000000000000";
const MAIN: &str = "refs/heads/main";

#[tokio::test]
async fn a_push_makes_one_job_at_the_commit_that_the_repository_has_now() {
    let source = Source::new();
    source.commit("main", "Old", &[("a", "1")]);
    let bench = Bench::new(vec![pipeline("web", &source.url(), &[TriggerRule::Push])]).await;
    let first = bench.push("d1", &source, MAIN, ZEROS).await;
    let second = bench.push("d2", &source, MAIN, ZEROS).await;
    // Pushed after the deliveries were accepted; their payloads name another commit altogether.
    let head = source.commit("main", "New", &[("a", "2")]);
    for (_, result) in run_once(&bench.ctx, &bench.stop).await {
        result.unwrap();
    }
    let jobs = bench.jobs().await;
    assert_eq!(jobs.len(), 1);
    assert_eq!((jobs[0].commit_sha.as_str(), jobs[0].branch.as_str()), (head.as_str(), "main"));
    assert_eq!((jobs[0].trigger, jobs[0].event), (Trigger::Webhook, Some(RepoEvent::Push)));
    assert!(jobs[0].origin.as_deref().is_some_and(|o| o == first.to_string() || o == second.to_string()));
    assert_eq!(bench.outcome(first).await.0, DeliveryState::Processed);
    assert_eq!(bench.outcome(second).await.0, DeliveryState::Processed);
}

#[tokio::test]
async fn an_unknown_repository_makes_no_job_and_says_so() {
    let source = Source::new();
    let bench = Bench::new(vec![pipeline("web", "https://git.example.com/web/other", &[TriggerRule::Push])]).await;
    let id = bench.push("d1", &source, MAIN, ZEROS).await;
    run_once(&bench.ctx, &bench.stop).await.remove(0).1.unwrap();
    assert_eq!(bench.outcome(id).await, (DeliveryState::Ignored, "no pipeline builds web/shop".to_owned()));
    assert!(bench.jobs().await.is_empty());
}

#[tokio::test]
async fn a_deleted_branch_makes_no_job() {
    let source = Source::new();
    source.commit("main", "One", &[("a", "1")]);
    let bench = Bench::new(vec![pipeline("web", &source.url(), &[TriggerRule::Push])]).await;
    let gone = bench.push("d1", &source, "refs/heads/gone", ZEROS).await;
    let hostile = bench.push("d2", &source, "refs/heads/--upload-pack=x", ZEROS).await;
    let note = bench.push("d3", &source, "refs/notes/x", ZEROS).await;
    for (_, result) in run_once(&bench.ctx, &bench.stop).await {
        result.unwrap();
    }
    for (id, part) in [(gone, "is gone"), (hostile, "is gone"), (note, "neither a branch nor a tag")] {
        let (state, outcome) = bench.outcome(id).await;
        assert!(state == DeliveryState::Ignored && outcome.contains(part), "{outcome}");
    }
    assert!(bench.jobs().await.is_empty());
}

#[tokio::test]
async fn every_pipeline_of_the_repository_is_judged_by_its_own_rules() {
    let source = Source::new();
    let before = source.commit("main", "One", &[("src/a", "1"), ("docs/a", "1")]);
    source.commit("main", "Two", &[("src/a", "2"), ("docs/a", "1")]);
    let (url, push) = (source.url(), [TriggerRule::Push]);
    let mut docs = pipeline("docs", &url, &push);
    docs.paths = vec!["docs/**".into()];
    let mut code = pipeline("code", &source.path().display().to_string(), &push);
    code.paths = vec!["src/**".into()];
    let mut release = pipeline("release", &url, &push);
    release.branch_filter = vec!["release/*".into()];
    let nightly = pipeline("nightly", &url, &[TriggerRule::Manual]);
    let bench = Bench::new(vec![docs, code, release, nightly]).await;
    let id = bench.push("d1", &source, MAIN, &before).await;
    run_once(&bench.ctx, &bench.stop).await.remove(0).1.unwrap();
    let names: Vec<String> = bench.jobs().await.into_iter().map(|j| j.pipeline_name).collect();
    assert_eq!(names, ["code"]);
    let (_, outcome) = bench.outcome(id).await;
    for part in ["code: a job for", "docs: no changed file", "release: the branch", "nightly: no trigger"] {
        assert!(outcome.contains(part), "{outcome}");
    }
}

#[tokio::test]
async fn a_tag_and_a_commit_that_skips_ci_are_told_apart() {
    let source = Source::new();
    let one = source.commit("main", "One", &[("a", "1")]);
    source.tag("v1", &one);
    source.commit("main", "Two [skip ci]", &[("a", "2")]);
    let bench = Bench::new(vec![pipeline("web", &source.url(), &[TriggerRule::Push, TriggerRule::Tag])]).await;
    bench.push("d1", &source, "refs/tags/v1", ZEROS).await;
    let skipped = bench.push("d2", &source, MAIN, ZEROS).await;
    for (_, result) in run_once(&bench.ctx, &bench.stop).await {
        result.unwrap();
    }
    let jobs = bench.jobs().await;
    assert_eq!(jobs.len(), 1);
    assert_eq!((jobs[0].tag.as_deref(), jobs[0].commit_sha.as_str()), (Some("v1"), one.as_str()));
    assert!(bench.outcome(skipped).await.1.contains("[skip ci]"));
}

#[tokio::test]
async fn a_delivery_interrupted_in_the_middle_is_processed_once_after_the_restart() {
    let source = Source::new();
    source.commit("main", "One", &[("a", "1")]);
    let mut bench = Bench::new(vec![pipeline("web", &source.url(), &[TriggerRule::Push])]).await;
    let id = bench.push("d1", &source, MAIN, ZEROS).await;
    let mirror = bench.ctx.repos.mirror(&source.url()).unwrap();
    let fetching = async {
        while mirror.fetches() == 0 {
            tokio::task::yield_now().await;
        }
    };
    // Dropped while git runs: as if the process had been killed there.
    tokio::select! {
        biased;
        () = fetching => {}
        _ = run_once(&bench.ctx, &bench.stop) => panic!("it was to be interrupted"),
    }
    assert_eq!(bench.outcome(id).await.0, DeliveryState::Received);
    bench.restart().await;
    for (_, result) in run_once(&bench.ctx, &bench.stop).await {
        result.unwrap();
    }
    assert!(run_once(&bench.ctx, &bench.stop).await.is_empty());
    assert_eq!(bench.jobs().await.len(), 1);
    assert_eq!(bench.outcome(id).await.0, DeliveryState::Processed);
}

#[tokio::test]
async fn an_unreachable_repository_leaves_the_delivery_waiting() {
    let source = Source::new();
    source.commit("main", "One", &[("a", "1")]);
    let bench = Bench::new(vec![pipeline("web", &source.url(), &[TriggerRule::Push])]).await;
    let id = bench.push("d1", &source, MAIN, ZEROS).await;
    let away = source.path().with_extension("away");
    std::fs::rename(source.path(), &away).unwrap();
    let error = run_once(&bench.ctx, &bench.stop).await.remove(0).1.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(bench.outcome(id).await.0, DeliveryState::Received);
    std::fs::rename(&away, source.path()).unwrap();
    run_once(&bench.ctx, &bench.stop).await.remove(0).1.unwrap();
    assert_eq!(bench.jobs().await.len(), 1);
}

#[tokio::test]
async fn the_payloads_address_is_never_fetched() {
    let source = Source::new();
    source.commit("main", "One", &[("a", "1")]);
    let bench = Bench::new(vec![pipeline("web", &source.url(), &[TriggerRule::Push])]).await;
    let mark = bench.dir.path().join("ran");
    let body = push_body(&format!("ext::touch {}", mark.display()), MAIN, ZEROS);
    bench.deliver("d1", "push", &body).await.unwrap();
    run_once(&bench.ctx, &bench.stop).await.remove(0).1.unwrap();
    assert!(!mark.exists());
    assert!(bench.jobs().await.is_empty());
}

#[tokio::test]
async fn a_commit_is_fetched_only_where_it_is_missing() {
    let source = Source::new();
    let one = source.commit("main", "One", &[("a", "1")]);
    let bench = Bench::new(vec![]).await;
    let mirror = bench.ctx.holding(&source.url(), &one, &bench.stop).await.unwrap();
    bench.ctx.holding(&source.url(), &one, &bench.stop).await.unwrap();
    assert_eq!(mirror.fetches(), 1);
    let two = source.commit("main", "Two", &[("a", "2")]);
    bench.ctx.holding(&source.url(), &two, &bench.stop).await.unwrap();
    assert_eq!(mirror.fetches(), 2);
    assert!(bench.ctx.holding(&source.url(), &"9".repeat(40), &bench.stop).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loop_processes_what_comes_and_stops_when_told() {
    let source = Source::new();
    source.commit("main", "One", &[("a", "1")]);
    let bench = Bench::new(vec![pipeline("web", &source.url(), &[TriggerRule::Push])]).await;
    bench.push("d1", &source, MAIN, ZEROS).await;
    let tasks = Tasks::new();
    let ctx = bench.ctx.clone();
    tasks.spawn("deliveries", |stop| run(ctx, stop));
    let mut changes = bench.ctx.store.changes();
    while bench.jobs().await.is_empty() {
        changes.changed().await.unwrap();
    }
    source.commit("next", "Two", &[("a", "2")]);
    bench.push("d2", &source, "refs/heads/next", ZEROS).await;
    while bench.jobs().await.len() < 2 {
        changes.changed().await.unwrap();
    }
    assert!(tasks.shutdown(std::time::Duration::from_secs(60)).await);
}
