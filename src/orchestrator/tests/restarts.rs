//! A master that ends at any moment is followed by one that goes on.
use std::sync::Arc;

use super::fake::end;
use super::request;
use super::world::{World, call};
use crate::executor::StepState;
use crate::model::Principal;
use crate::model::job::Status;
use crate::model::step::{Cause, StepStatus};
use crate::orchestrator::*;
use crate::queue;
use crate::store::testing::pipeline;
use crate::store::{Durability, attestations};

async fn world() -> (World, crate::queue::Claimed) {
    let site = pipeline("site", "web");
    let world = World::new(site.clone()).await;
    let claimed = world.claim(&site).await;
    (world, claimed)
}

#[tokio::test]
async fn an_answered_call_is_answered_again_and_its_step_not_run_again() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    let first = master.run("/run#0", request("exit 3")).await.unwrap();
    let (now, random) =
        (master.job.now(&call("now", "/now#0")).await, master.job.random(&call("random", "/random#0")).await);
    master.stop().await;
    world.test.clock.advance(std::time::Duration::from_secs(60));
    let master = world.again().await;
    assert_eq!(master.run("/run#0", request("exit 3")).await.unwrap(), first);
    assert_eq!(master.job.now(&call("now", "/now#0")).await, now);
    assert_eq!(master.job.random(&call("random", "/random#0")).await, random);
    assert_eq!(world.executor.starts("exit 3"), 1);
    world.executor.finish(world.executor.coordinator(1).await, StepState::Ended(end(0)));
    assert_eq!(master.ended().await, Status::Success);
}

#[tokio::test]
async fn a_step_in_flight_is_attached_to_and_not_run_twice() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    let running = tokio::spawn({
        let job = Arc::clone(&master.job);
        async move { job.run_step(call("run", "/run#0"), request("hang")).await }
    });
    let at = world.executor.started("hang").await;
    master.stop().await;
    assert!(matches!(running.await.unwrap(), Err(CallError::Unavailable(_))));
    let master = world.again().await;
    let (answer, ()) = tokio::join!(master.run("/run#0", request("hang")), async {
        tokio::task::yield_now().await;
        world.executor.finish(at, StepState::Ended(end(0)));
    });
    assert_eq!(answer.unwrap().outcome, Cause::Success);
    assert_eq!(world.executor.starts("hang"), 1);
}

#[tokio::test]
async fn a_handler_that_goes_away_does_not_stop_its_step() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    {
        let dropped = master.run("/run#0", request("hang"));
        tokio::pin!(dropped);
        tokio::select! {
            _ = &mut dropped => panic!("it hangs"),
            _ = world.executor.started("hang") => {}
        }
    }
    world.executor.finish(world.executor.started("hang").await, StepState::Ended(end(0)));
    assert_eq!(master.run("/run#0", request("hang")).await.unwrap().outcome, Cause::Success);
    assert_eq!(world.executor.starts("hang"), 1);
}

#[tokio::test]
async fn an_end_that_came_while_no_master_was_there_is_met_at_the_start() {
    let (world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    let at = world.executor.coordinator(1).await;
    master.stop().await;
    world.executor.finish(at, StepState::Ended(end(0)));
    let master = world.again().await;
    assert_eq!(master.ended().await, Status::Success);
    assert_eq!(world.row(id).await.attempt, 1);
}

#[tokio::test]
async fn a_cancel_that_came_while_no_master_was_there_is_met_at_the_start() {
    let (world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    world.executor.coordinator(1).await;
    master.stop().await;
    queue::cancel(&world.test.store, id, Principal::LocalAdmin).await.unwrap();
    assert_eq!(world.again().await.ended().await, Status::Cancelled);
}

#[tokio::test]
async fn a_lost_coordinator_is_started_again_and_answered_from_the_journal() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    master.run("/run#0", request("exit 0")).await.unwrap();
    world.executor.finish(world.executor.coordinator(1).await, StepState::Lost);
    let second = world.executor.coordinator(2).await;
    master.run("/run#0", request("exit 0")).await.unwrap();
    assert_eq!(world.executor.starts("exit 0"), 1);
    world.executor.finish(second, StepState::Ended(end(0)));
    assert_eq!(master.ended().await, Status::Success);
}

#[tokio::test]
async fn a_restarted_machine_runs_the_job_again_from_the_start() {
    let (mut world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    master.run("/run#0", request("exit 0")).await.unwrap();
    let running = tokio::spawn({
        let job = Arc::clone(&master.job);
        async move { job.run_step(call("run", "/run#1"), request("hang")).await }
    });
    world.executor.started("hang").await;
    master.stop().await;
    assert!(running.await.unwrap().is_err());
    world.machine = "boot-2".to_owned();
    let claimed = queue::adopt(&world.test.store, "m2").await.unwrap().remove(0);
    assert_eq!(world.driven(claimed).await, Driven::Retried);
    assert_eq!(world.row(id).await.status, Status::Pending);
    // What ran is lost; what had ended before stays as it was.
    let ends: Vec<_> = world.steps(id).await.into_iter().map(|row| (row.seq, row.status, row.cause)).collect();
    let lost = (StepStatus::Failure, Some(Cause::Infra));
    assert_eq!(ends, [(0, lost.0, lost.1), (1, StepStatus::Success, Some(Cause::Success)), (2, lost.0, lost.1)]);
    let reason = world.steps(id).await.pop().unwrap().reason;
    assert_eq!(reason.as_deref(), Some("the machine was restarted while the job ran"));
    world.test.clock.advance(std::time::Duration::from_secs(3600));
    let claimed = queue::claim(&world.test.store, "m2", queue::Limits { max_running: 1 }).await.unwrap().unwrap();
    let master = world.master(claimed).await;
    let answer = master.run("/run#0", request("exit 0")).await.unwrap();
    assert_eq!(answer.step, 3, "its log must not meet the one of the first attempt");
    world.executor.finish(world.executor.coordinator(2).await, StepState::Ended(end(0)));
    assert_eq!(master.ended().await, Status::Success);
}

#[tokio::test]
async fn a_restarted_machine_fails_a_job_whose_step_may_run_only_once() {
    let (mut world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    master.run("/run#0", StepRequest { once: true, name: "deploy".to_owned(), ..request("exit 0") }).await.unwrap();
    master.stop().await;
    world.machine = "boot-2".to_owned();
    let claimed = queue::adopt(&world.test.store, "m2").await.unwrap().remove(0);
    assert_eq!(world.driven(claimed).await, Driven::Ended(Status::Failure));
    assert!(world.row(id).await.reason.unwrap().contains("'deploy' may run only once"));
}

#[tokio::test]
async fn masks_and_captured_values_hold_over_a_restart() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    let value = crate::model::Secret::new("made-at-run-time".to_owned());
    master.job.mask_value(call("mask", "/mask#0"), value).await.unwrap();
    master.stop().await;
    let master = world.again().await;
    master.run("/run#0", StepRequest { name: "made-at-run-time".to_owned(), ..request("exit 0") }).await.unwrap();
    assert_eq!(world.steps(master.job.row.id).await.last().unwrap().name, "[secret masked]");
}

#[tokio::test]
async fn a_record_that_a_crash_prevented_is_made_at_the_next_start() {
    let (world, claimed) = world().await;
    let id = claimed.job.id;
    let lease = claimed.lease;
    queue::finish(&world.test.store, lease, crate::model::job::Event::Rejected, Some("no".to_owned())).await.unwrap();
    let idle: Serve = Arc::new(|_, _, _| Box::pin(async {}));
    let engine = world.engine(idle);
    assert_eq!(attest_pending(&engine, &[].into()).await.unwrap(), 1);
    assert_eq!(attest_pending(&engine, &[].into()).await.unwrap(), 0);
    let found =
        world.test.store.write("test", Durability::Progress, move |tx| attestations::find(tx, id)).await.unwrap();
    assert!(found.is_some());
}
