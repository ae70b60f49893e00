//! An executor that gives no answer says nothing about what it runs.

use super::fake::end;
use super::request;
use super::world::World;
use crate::executor::StepState;
use crate::model::Principal;
use crate::model::job::Status;
use crate::model::step::Cause;
use crate::orchestrator::*;
use crate::queue;
use crate::store::testing::pipeline;

async fn world() -> (World, crate::queue::Claimed) {
    let site = pipeline("site", "web");
    let world = World::new(site.clone()).await;
    let claimed = world.claim(&site).await;
    (world, claimed)
}

fn retried(command: &str) -> StepRequest {
    let retry = call::Retry { times: 1, on: vec![Cause::Infra].into_iter().collect(), ..Default::default() };
    StepRequest { retry, ..request(command) }
}

#[tokio::test]
async fn silence_longer_than_the_patience_does_not_lose_a_step() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    // Each try is followed by a pause as long as the patience, or longer.
    world.executor.fail("observe", 3);
    let answer = master.run("/run#0", retried("exit 0")).await.unwrap();
    assert_eq!((answer.outcome, answer.attempt), (Cause::Success, 1));
    assert_eq!(world.executor.failures_left("observe"), 0);
    assert_eq!(world.executor.starts("exit 0"), 1);
}

#[tokio::test]
async fn a_start_whose_answer_was_lost_is_not_made_again() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    world.executor.fail("ensure_step", 100);
    let answer = master.run("/run#0", retried("exit 0")).await.unwrap();
    assert_eq!((answer.outcome, answer.attempt), (Cause::Success, 1));
    assert_eq!(world.executor.failures_left("ensure_step"), 99);
}

#[tokio::test]
async fn a_start_that_did_not_arrive_is_made_again() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    world.executor.fail("ensure_step unheard", 1);
    let answer = master.run("/run#0", request("exit 0")).await.unwrap();
    assert_eq!((answer.outcome, answer.attempt), (Cause::Success, 1));
}

#[tokio::test]
async fn a_lost_attempt_is_killed_before_the_next() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    world.executor.fail("kill", 1);
    let answer = master.run("/run#0", retried("lost x")).await.unwrap();
    assert_eq!((answer.outcome, answer.attempt), (Cause::Infra, 2));
    assert_eq!(world.executor.killed().iter().map(|at| at.attempt).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn a_lost_job_waits_again_only_when_nothing_of_it_runs() {
    let (mut world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    master.stop().await;
    world.machine = "boot-2".to_owned();
    world.executor.fail("teardown", 3);
    let claimed = queue::adopt(&world.test.store, "m2").await.unwrap().remove(0);
    assert_eq!(world.driven(claimed).await, Driven::Retried);
    assert_eq!(world.executor.torn_down(), [id]);
    assert_eq!(world.row(id).await.status, Status::Pending);
}

#[tokio::test]
async fn the_end_of_a_job_is_told_only_when_nothing_of_it_runs() {
    let (world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    world.executor.coordinator(1).await;
    // Longer than the patience for an executor that gives no answer.
    world.executor.fail("teardown", 4);
    queue::cancel(&world.test.store, id, Principal::LocalAdmin).await.unwrap();
    let mut changes = world.test.store.changes();
    while world.executor.failures_left("teardown") > 0 {
        assert_eq!(world.row(id).await.status, Status::Running);
        let _later = tokio::time::timeout(std::time::Duration::from_millis(10), changes.changed()).await;
    }
    assert_eq!(master.ended().await, Status::Cancelled);
    assert_eq!(world.executor.torn_down(), [id]);
}

#[tokio::test]
async fn a_coordinator_goes_on_after_its_executor_was_silent() {
    let (world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    world.executor.finish(world.executor.coordinator(1).await, StepState::Ended(end(0)));
    assert_eq!(master.ended().await, Status::Success);
    assert_eq!(world.row(id).await.attempt, 1);
}
