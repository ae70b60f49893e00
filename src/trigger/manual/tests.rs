use super::*;
use crate::mirror::testing::Source;
use crate::model::settings::{Param, ParamType, Pipeline, TriggerRule};
use crate::trigger::run::run_once;
use crate::trigger::testing::{Bench, pipeline};

async fn ask(bench: &Bench, target: Target) -> Result<JobId, TriggerError> {
    ask_with(bench, target, &[]).await
}

async fn ask_with(bench: &Bench, target: Target, params: &[(&str, &str)]) -> Result<JobId, TriggerError> {
    let ask = Ask {
        pipeline: bench.pipeline_id("web").await,
        target,
        trigger: Trigger::Manual,
        actor: Principal::LocalAdmin,
        params: params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
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

fn deploying(source: &Source, triggers: &[TriggerRule]) -> Pipeline {
    let param = |name: &str, kind, choices: &[&str], default: &str| Param {
        name: name.to_owned(),
        kind,
        choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
        default: Some(default.to_owned()),
        description: String::new(),
    };
    let target = param("target", ParamType::Choice, &["staging", "production"], "staging");
    let tries = param("tries", ParamType::Integer, &[], "3");
    Pipeline { params: vec![target, tries], ..pipeline("web", &source.url(), triggers) }
}

#[tokio::test]
async fn a_job_has_the_values_that_were_given_and_the_defaults_of_the_rest() {
    let source = Source::new();
    source.commit("main", "One", &[("a", "1")]);
    let bench = Bench::new(vec![deploying(&source, &[TriggerRule::Push])]).await;
    ask_with(&bench, Target::Default, &[("target", "production")]).await.unwrap();
    bench.push("d1", &source, "refs/heads/main", &"0".repeat(40)).await;
    for (_, done) in run_once(&bench.ctx, &bench.stop).await {
        done.unwrap();
    }
    let values: Vec<_> = bench.jobs().await.into_iter().map(|job| job.params).collect();
    let of = |target: &str| BTreeMap::from([("target".into(), target.into()), ("tries".into(), "3".into())]);
    assert_eq!(values, [of("production"), of("staging")]);
}

#[tokio::test]
async fn what_a_pipeline_does_not_take_is_refused_and_makes_no_job() {
    let source = Source::new();
    source.commit("main", "One", &[("a", "1")]);
    let bench = Bench::new(vec![deploying(&source, &[])]).await;
    for (name, value, part) in [
        ("target", "moon", "give one of staging, production"),
        ("tries", "few", "not a whole number"),
        ("taregt", "staging", "did you mean 'target'"),
    ] {
        let error = ask_with(&bench, Target::Default, &[(name, value)]).await.unwrap_err();
        assert!(error.to_string().contains(part) && !error.is_retryable(), "{error}");
    }
    assert!(bench.jobs().await.is_empty());
}
