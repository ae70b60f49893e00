use super::*;
use crate::mirror::testing::Source;
use crate::trigger::testing::{Bench, pipeline};

async fn ask(bench: &Bench, target: Target) -> Result<JobId, TriggerError> {
    let ask = Ask {
        pipeline: bench.pipeline_id("web").await,
        target,
        trigger: Trigger::Manual,
        actor: Principal::LocalAdmin,
        params: BTreeMap::new(),
    };
    manual(&bench.ctx, ask, &bench.stop).await
}

#[tokio::test]
async fn a_branch_a_commit_or_the_default_branch_is_built() {
    let source = Source::new();
    let old = source.commit("main", "Old", &[("a", "1")]);
    let head = source.commit("main", "New", &[("a", "2")]);
    let side = source.commit("side", "Side", &[("a", "3")]);
    let bench = Bench::new(vec![pipeline("web", &source.url(), &[])]).await;
    let targets = [
        (Target::Default, &head, "main"),
        (Target::Branch("side".into()), &side, "side"),
        (Target::Commit(old.clone()), &old, "main"),
        (Target::Commit(side[..10].to_owned()), &side, "side"),
        (Target::Branch("main".into()), &head, "main"),
    ];
    for (target, _, _) in targets.clone() {
        ask(&bench, target).await.unwrap();
    }
    let jobs = bench.jobs().await;
    assert_eq!(jobs.len(), targets.len());
    for (job, (_, commit, branch)) in jobs.iter().zip(&targets) {
        assert_eq!((&job.commit_sha, job.branch.as_str()), (*commit, *branch));
        assert_eq!(job.actor, "local-admin");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_sentence_and_no_job() {
    let source = Source::new();
    source.commit("main", "One", &[("a", "1")]);
    let bench = Bench::new(vec![pipeline("web", &source.url(), &[])]).await;
    for (target, part) in [
        (Target::Branch("mian".into()), "did you mean 'main'"),
        (Target::Branch("--all".into()), "it has main"),
        (Target::Branch("main~1".into()), "has no branch"),
        (Target::Commit("9".repeat(40)), "has no commit"),
        (Target::Commit("main".into()), "has no commit"),
    ] {
        let error = ask(&bench, target.clone()).await.unwrap_err();
        assert!(error.to_string().contains(part), "{target:?}: {error}");
        assert!(!error.is_retryable());
    }
    assert!(bench.jobs().await.is_empty());
}

#[tokio::test]
async fn a_pipeline_that_left_the_configuration_cannot_be_started() {
    let source = Source::new();
    source.commit("main", "One", &[("a", "1")]);
    let bench = Bench::new(vec![pipeline("web", &source.url(), &[])]).await;
    bench.apply(vec![]).await;
    let error = ask(&bench, Target::Default).await.unwrap_err();
    assert!(matches!(error, TriggerError::Inactive { .. }), "{error}");
}
