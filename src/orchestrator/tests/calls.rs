//! Calls about the job: context, secrets, recorded values, bounds.
use super::request;
use super::world::{World, call};
use crate::model::JobId;
use crate::model::job::Event;
use crate::orchestrator::*;
use crate::queue::{self, NewJob};
use crate::store::audit_log;
use crate::store::testing::pipeline;

async fn world() -> (World, crate::queue::Claimed) {
    let site = pipeline("site", "web");
    let world = World::new(site.clone()).await;
    let claimed = world.claim(&site).await;
    (world, claimed)
}

#[tokio::test]
async fn the_context_is_that_of_the_job() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    let context = master.job.context(&call("context", "/context#0")).await.unwrap();
    assert_eq!((context.pipeline.as_str(), context.number, context.branch.as_str()), ("site", 1, "main"));
    assert_eq!((context.trigger.as_str(), context.event.as_str()), ("webhook", "push"));
    assert_eq!(context.url, format!("https://danube.example.com/jobs/{}", master.job.row.id));
}

#[tokio::test]
async fn a_known_secret_is_there_and_an_unknown_one_says_what_to_do() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    master.job.check_secret(&call("secret", "/secret#0"), "TOKEN").await.unwrap();
    let none = master.job.check_secret(&call("secret", "/secret#1"), "NONE").await;
    assert!(matches!(&none, Err(CallError::NotFound(text)) if text.contains("'NONE'")), "{none:?}");
}

#[tokio::test]
async fn a_revealed_secret_is_in_the_audit_log_and_not_in_the_journal() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    let value = Value::Secret("TOKEN".to_owned());
    let plain = master.job.reveal_secret(&call("reveal", "/reveal#0"), &value).await.unwrap();
    assert_eq!(plain.expose(), "hunter22");
    let last = world.test.store.read(audit_log::last).await.unwrap().unwrap();
    assert_eq!((last.action.as_str(), last.resource.as_str()), ("secret.reveal", "TOKEN"));
    let id = master.job.row.id;
    let calls = world.test.store.read(move |view| crate::store::journal::of_job(view, id)).await.unwrap();
    assert!(!format!("{calls:?}").contains("hunter22"));
    let unknown = Value::Secret("OTHER".to_owned());
    let denied = master.job.reveal_secret(&call("reveal", "/reveal#1"), &unknown).await;
    assert!(matches!(denied, Err(CallError::Denied(_))));
}

#[tokio::test]
async fn changed_is_true_where_there_is_no_green_run_and_a_bad_pattern_is_told() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    let answer = master.job.changed(&call("changed", "/changed#0"), &["src/**".to_owned()]).await.unwrap();
    assert_eq!((answer.changed, answer.base), (true, None));
    assert_eq!(answer.why, "there is no green run of main to compare with");
    let bad = master.job.hash(&call("hash", "/hash#0"), &["[".to_owned()]).await;
    assert!(matches!(&bad, Err(CallError::Invalid(text)) if text.contains("'['")), "{bad:?}");
}

#[tokio::test]
async fn a_hostile_step_is_refused_without_a_row() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    let huge = master.run("/run#0", request(&"x".repeat(200 << 10))).await;
    assert!(matches!(huge, Err(CallError::Invalid(_))));
    assert!(world.steps(master.job.row.id).await.iter().all(|step| step.seq == 0));
}

#[tokio::test]
async fn random_numbers_lie_between_zero_and_one() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    for n in 0..20 {
        let value = master.job.random(&call("random", &format!("/random#{n}"))).await.unwrap();
        assert!((0.0..1.0).contains(&value), "{value}");
    }
}

/// Runs a job of the commit `sha` to a green end.
async fn green(world: &World, sha: &str, change: impl FnOnce(&mut NewJob)) -> JobId {
    let site = pipeline("site", "web");
    let claimed = world
        .claim_with(&site, |job| {
            job.revision.commit = sha.repeat(40);
            change(job)
        })
        .await;
    let id = claimed.job.id;
    queue::finish(&world.test.store, claimed.lease, Event::Exited { code: 0 }, None).await.unwrap();
    id
}

#[tokio::test]
async fn changed_compares_with_the_last_green_run_and_says_so() {
    let world = World::new(pipeline("site", "web")).await;
    green(&world, "a", |_| ()).await;
    // Neither a pull request from a branch of the same name nor another branch counts.
    green(&world, "d", |job| (job.pull_request, job.fork) = (Some(7), true)).await;
    green(&world, "e", |job| job.revision.branch = "side".to_owned()).await;
    let claimed = world.claim_with(&pipeline("site", "web"), |job| job.revision.commit = "c".repeat(40)).await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    let globs = ["src/**".to_owned()];
    let answer = master.job.changed(&call("changed", "/changed#0"), &globs).await.unwrap();
    let base = Base { kind: BaseKind::LastGreen, commit: "a".repeat(40), job: Some("site#1".to_owned()) };
    assert_eq!((answer.changed, answer.base.as_ref()), (true, Some(&base)));
    assert_eq!(answer.why, "src/app.py differs from aaaaaaaa, the last green run of main (site#1)");
    let calls = world.test.store.read(move |view| crate::store::journal::of_job(view, id)).await.unwrap();
    let recorded = calls.iter().find(|call| call.key == "/changed#0").unwrap().answer.clone().unwrap();
    assert!(String::from_utf8(recorded).unwrap().contains("last_green"));
    let same = master.job.changed(&call("changed", "/changed#0"), &globs).await.unwrap();
    assert_eq!(same, answer);
}

#[tokio::test]
async fn a_rerun_of_a_green_run_is_compared_with_what_the_first_run_was() {
    let world = World::new(pipeline("site", "web")).await;
    green(&world, "a", |_| ()).await;
    let first = green(&world, "c", |_| ()).await;
    let again = green(&world, "c", |job| job.parent = Some(first)).await;
    let site = pipeline("site", "web");
    let claimed = world.claim_with(&site, |job| {
        job.revision.commit = "c".repeat(40);
        job.parent = Some(again);
    });
    let master = world.master(claimed.await).await;
    let answer = master.job.changed(&call("changed", "/changed#0"), &["src/**".to_owned()]).await.unwrap();
    assert_eq!(answer.base.unwrap().job.as_deref(), Some("site#1"));
}

#[tokio::test]
async fn a_pull_request_is_compared_with_its_merge_base() {
    let world = World::new(pipeline("site", "web")).await;
    green(&world, "c", |job| job.revision.branch = "topic".to_owned()).await;
    for (number, target, base) in [(1, "main", Some("b".repeat(40))), (2, "gone", None)] {
        let site = pipeline("site", "web");
        let claimed = world.claim_with(&site, |job| {
            (job.pull_request, job.pr_base) = (Some(number), Some(target.to_owned()));
            job.revision.branch = "topic".to_owned();
        });
        let master = world.master(claimed.await).await;
        let context = master.job.context(&call("context", "/context#0")).await.unwrap();
        assert_eq!((context.pr, context.pr_base.as_str()), (number, target));
        let answer = master.job.changed(&call("changed", "/changed#0"), &["src/**".to_owned()]).await.unwrap();
        assert_eq!(answer.base.map(|base| base.commit), base);
        assert!(answer.changed && answer.why.contains(&format!("merge base with {target}")), "{}", answer.why);
        master.stop().await;
    }
}
