//! A request to end a job meets it in any state, and has one result that is known beforehand.
use std::sync::Arc;

use super::fake::end;
use super::request;
use super::world::{World, call};
use crate::executor::StepState;
use crate::model::job::Status;
use crate::model::{JobId, Principal};
use crate::orchestrator::*;
use crate::queue::{self, Cancelled};
use crate::store::testing::pipeline;

async fn world() -> (World, crate::queue::Claimed) {
    let site = pipeline("site", "web");
    let world = World::new(site.clone()).await;
    let claimed = world.claim(&site).await;
    (world, claimed)
}

async fn cancel(world: &World, id: JobId) -> Cancelled {
    queue::cancel(&world.test.store, id, Principal::LocalAdmin).await.unwrap()
}

#[tokio::test]
async fn a_request_that_comes_after_the_verdict_changes_nothing_and_says_so() {
    for (code, expected) in [(0, Status::Success), (1, Status::Failure)] {
        let (world, claimed) = world().await;
        let id = claimed.job.id;
        let master = world.master(claimed).await;
        let coordinator = world.executor.coordinator(1).await;
        // The verdict is written, and the job is not cleared away yet.
        world.executor.fail("teardown", 1_000_000);
        world.executor.finish(coordinator, StepState::Ended(end(code)));
        let mut changes = world.test.store.changes();
        while !world.steps(id).await[0].status.is_terminal() {
            changes.changed().await.unwrap();
        }
        assert_eq!(cancel(&world, id).await, Cancelled::AlreadyDecided(expected));
        assert_eq!(cancel(&world, id).await, Cancelled::AlreadyDecided(expected));
        world.executor.fail("teardown", 0);
        assert_eq!(master.ended().await, expected);
        let row = world.row(id).await;
        assert_eq!((row.cancel_requested_by, row.cancel_requested_at), (None, None));
        assert_eq!(cancel(&world, id).await, Cancelled::AlreadyEnded(expected));
    }
}

#[tokio::test]
async fn a_request_that_comes_before_the_verdict_wins_though_the_danubefile_ends_well() {
    let (world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    let coordinator = world.executor.coordinator(1).await;
    assert_eq!(cancel(&world, id).await, Cancelled::Requested);
    world.executor.finish(coordinator, StepState::Ended(end(0)));
    assert_eq!(cancel(&world, id).await, Cancelled::AlreadyRequested);
    assert_eq!(master.ended().await, Status::Cancelled);
    assert_eq!(world.row(id).await.reason.as_deref(), Some("cancelled by local-admin"));
    assert_eq!(cancel(&world, id).await, Cancelled::AlreadyEnded(Status::Cancelled));
}

/// The same seed gives the same order of starts; who wins is the machine's choice, and either way is one of two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_races_with_the_end_has_one_winner() {
    const SEED: u64 = 20_261_121;
    let site = pipeline("site", "web");
    let world = Arc::new(World::new(site.clone()).await);
    let mut state = SEED;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut seen = [0; 3];
    for round in 0..60 {
        let claimed = world.claim(&site).await;
        let id = claimed.job.id;
        let master = world.master(claimed).await;
        let coordinator = world.executor.coordinator(1).await;
        let code = i32::try_from(random(2)).unwrap();
        let (before_end, before_request) = (random(3000), random(12_000));
        let ending = tokio::spawn({
            let executor = Arc::clone(&world.executor);
            async move {
                for _ in 0..before_end {
                    tokio::task::yield_now().await;
                }
                executor.finish(coordinator, StepState::Ended(end(code)));
            }
        });
        for _ in 0..before_request {
            tokio::task::yield_now().await;
        }
        let said = cancel(&world, id).await;
        ending.await.unwrap();
        let status = master.ended().await;
        let own = if code == 0 { Status::Success } else { Status::Failure };
        let row = world.row(id).await;
        match said {
            Cancelled::Requested => {
                assert_eq!(
                    (status, row.reason.as_deref()),
                    (Status::Cancelled, Some("cancelled by local-admin")),
                    "round {round}"
                );
                seen[0] += 1;
            }
            Cancelled::AlreadyDecided(told) => {
                assert_eq!((status, told, row.cancel_requested_at), (own, own, None), "round {round}");
                seen[1] += 1;
            }
            Cancelled::AlreadyEnded(told) => {
                assert_eq!((status, told, row.cancel_requested_at), (own, own, None), "round {round}");
                seen[2] += 1;
            }
            other => panic!("round {round} of seed {SEED}: {other:?}"),
        }
    }
    assert_eq!(seen.iter().sum::<u32>(), 60);
}

#[tokio::test]
async fn a_parked_job_is_stopped_like_any_other() {
    let (world, claimed) = world().await;
    let id = claimed.job.id;
    let lease = claimed.lease;
    let master = world.master(claimed).await;
    world.executor.coordinator(1).await;
    queue::park(&world.test.store, lease, "waits for a person".to_owned()).await.unwrap();
    assert_eq!(cancel(&world, id).await, Cancelled::Requested);
    assert_eq!(master.ended().await, Status::Cancelled);
    let row = world.row(id).await;
    assert_eq!((row.parked_since, row.reason.as_deref()), (None, Some("cancelled by local-admin")));
}

#[tokio::test]
async fn a_job_that_was_lost_after_the_request_is_cancelled_and_not_tried_again() {
    for once in [false, true] {
        let (mut world, claimed) = world().await;
        let id = claimed.job.id;
        let master = world.master(claimed).await;
        let step = StepRequest { once, name: "deploy".to_owned(), ..request("exit 0") };
        master.job.run_step(call("run", "/run#0"), step).await.unwrap();
        master.stop().await;
        assert_eq!(cancel(&world, id).await, Cancelled::Requested);
        world.machine = "boot-2".to_owned();
        let claimed = queue::adopt(&world.test.store, "m2").await.unwrap().remove(0);
        assert_eq!(world.driven(claimed).await, Driven::Ended(Status::Cancelled));
        let row = world.row(id).await;
        assert_eq!((row.reason.as_deref(), row.failure_kind), (Some("cancelled by local-admin"), None));
    }
}

#[tokio::test]
async fn a_job_between_two_attempts_is_cancelled_at_once() {
    let (mut world, claimed) = world().await;
    let id = claimed.job.id;
    world.master(claimed).await.stop().await;
    world.machine = "boot-2".to_owned();
    let claimed = queue::adopt(&world.test.store, "m2").await.unwrap().remove(0);
    assert_eq!(world.driven(claimed).await, Driven::Retried);
    assert_eq!(cancel(&world, id).await, Cancelled::AtOnce);
    let row = world.row(id).await;
    assert_eq!((row.status, row.reason.as_deref()), (Status::Cancelled, Some("cancelled by local-admin")));
    world.test.clock.advance(std::time::Duration::from_secs(3600));
    assert!(queue::claim(&world.test.store, "m2", queue::Limits { max_running: 1 }).await.unwrap().is_none());
}
