//! Calls about the job: context, secrets, recorded values, bounds.
use super::request;
use super::world::{World, call};
use crate::orchestrator::*;
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
    assert!(master.job.changed(&call("changed", "/changed#0"), &["src/**".to_owned()]).await.unwrap());
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
