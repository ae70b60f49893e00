//! How jobs end: failure with its reason, cancel, deadline, refusal, loss.
use std::time::Duration;

use danube_shim::index::Stream;

use super::fake::end;
use super::request;
use super::world::{World, call};
use crate::executor::{StepEnd, StepState};
use crate::model::Principal;
use crate::model::job::{FailureKind, Status};
use crate::model::step::{Cause, StepStatus};
use crate::orchestrator::*;
use crate::provenance::{PREDICATE_TYPE, RECORD_TYPE};
use crate::queue;
use crate::store::attestations;
use crate::store::testing::pipeline;

async fn world() -> (World, crate::queue::Claimed) {
    let site = pipeline("site", "web");
    let world = World::new(site.clone()).await;
    let claimed = world.claim(&site).await;
    (world, claimed)
}

async fn record(world: &World, job: crate::model::JobId) -> attestations::AttestationRow {
    world.test.store.read(move |view| attestations::find(view, job)).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_failed_danubefile_fails_the_job_with_the_line_from_its_log() {
    let (world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    let at = world.executor.coordinator(1).await;
    world.executor.print(at, Stream::Stderr, "danube: step \"unit\" failed: exit code 1\n");
    world.executor.finish(at, StepState::Ended(end(1)));
    assert_eq!(master.ended().await, Status::Failure);
    let row = world.row(id).await;
    assert_eq!(
        (row.failure_kind, row.reason.as_deref()),
        (Some(FailureKind::Pipeline), Some("step \"unit\" failed: exit code 1"))
    );
    assert_eq!(record(&world, id).await.predicate_type, RECORD_TYPE);
}

#[tokio::test]
async fn the_step_that_failed_first_is_the_reason_whatever_the_danubefile_says_later() {
    for (said, reason) in [
        (
            "danube: reports/*.xml: no such file (danubefile.py:10)",
            "step \"exit 3\" failed: exit code 3; after that: reports/*.xml: no such file (danubefile.py:10)",
        ),
        (
            "danube: step \"exit 4\" failed: exit code 4 (danubefile.py:8)",
            "step \"exit 4\" failed: exit code 4 (danubefile.py:8)",
        ),
        (
            "Traceback (most recent call last):\n  File \"danubefile.py\", line 4, in b\n    x\nValueError: no\ndanube: the danubefile raised ValueError (danubefile.py:4)",
            "danubefile.py:4: ValueError: no",
        ),
    ] {
        let (world, claimed) = world().await;
        let id = claimed.job.id;
        let master = world.master(claimed).await;
        master.run("/run#0", request("exit 3")).await.unwrap();
        master.run("/run#1", request("exit 4")).await.unwrap();
        let at = world.executor.coordinator(1).await;
        world.executor.print(at, Stream::Stderr, &format!("{said}\n"));
        world.executor.finish(at, StepState::Ended(end(1)));
        assert_eq!(master.ended().await, Status::Failure);
        assert_eq!(world.row(id).await.reason.as_deref(), Some(reason));
    }
}

#[tokio::test]
async fn a_coordinator_out_of_memory_names_its_limit() {
    let (world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    let at = world.executor.coordinator(1).await;
    world.executor.finish(at, StepState::Ended(StepEnd { oom_kills: 1, ..end(137) }));
    assert_eq!(master.ended().await, Status::Failure);
    assert_eq!(world.row(id).await.reason.as_deref(), Some("out of memory: the coordinator's limit is 256 MiB"));
}

#[tokio::test]
async fn a_success_is_signed_as_provenance() {
    let (world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    world.executor.finish(world.executor.coordinator(1).await, StepState::Ended(end(0)));
    assert_eq!(master.ended().await, Status::Success);
    assert_eq!(record(&world, id).await.predicate_type, PREDICATE_TYPE);
}

#[tokio::test]
async fn a_cancel_refuses_calls_ends_steps_and_then_the_coordinator() {
    let (world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    let running = tokio::spawn({
        let job = std::sync::Arc::clone(&master.job);
        async move { job.run_step(call("run", "/run#0"), request("stubborn")).await }
    });
    world.executor.started("stubborn").await;
    queue::cancel(&world.test.store, id, Principal::LocalAdmin).await.unwrap();
    assert_eq!(running.await.unwrap(), Err(CallError::Cancelled));
    assert_eq!(master.run("/run#1", request("exit 0")).await, Err(CallError::Cancelled));
    assert_eq!(master.ended().await, Status::Cancelled);
    let row = world.row(id).await;
    assert_eq!(row.reason.as_deref(), Some("cancelled by local-admin"));
    assert!(world.steps(id).await.iter().all(|step| step.status == StepStatus::Cancelled));
    assert_eq!(world.executor.torn_down(), [id]);
}

#[tokio::test]
async fn a_cancel_ends_the_pause_before_another_attempt_at_once() {
    let (world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    // Longer than any test runs: only the cancel can end it.
    let retry = Retry { times: 3, on: vec![Cause::Exit], backoff: Duration::from_secs(3600) };
    let waiting = tokio::spawn({
        let job = std::sync::Arc::clone(&master.job);
        async move { job.run_step(call("run", "/run#0"), StepRequest { retry, ..request("exit 7") }).await }
    });
    let mut changes = world.test.store.changes();
    while world.steps(id).await.len() < 3 {
        changes.changed().await.unwrap();
    }
    queue::cancel(&world.test.store, id, Principal::LocalAdmin).await.unwrap();
    assert_eq!(waiting.await.unwrap(), Err(CallError::Cancelled));
    assert_eq!(master.ended().await, Status::Cancelled);
    let rows: Vec<_> = world.steps(id).await.into_iter().filter(|row| row.seq == 1).collect();
    assert_eq!(rows[0].reason.as_deref(), Some("exit code 7; attempt 2 of 4 after 3600 s"));
    assert_eq!((rows[1].status, rows[1].reason.as_deref()), (StepStatus::Skipped, Some("stopped with its job")));
    assert!(rows.len() == 2 && rows[1].started_at.is_none());
}

#[tokio::test]
async fn a_job_past_its_deadline_is_ended_as_timeout() {
    let (world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    let declaration = Declaration { name: "core".to_owned(), timeout: Some(Duration::from_millis(30)), egress: None };
    master.job.declare(&call("declare", "/declare#0"), declaration).await.unwrap();
    assert_eq!(master.run("/run#0", request("hang")).await, Err(CallError::Cancelled));
    assert_eq!(master.ended().await, Status::Timeout);
    let row = world.row(id).await;
    assert!(row.reason.unwrap().starts_with("it ran longer than"));
    assert_eq!(row.title.as_deref(), Some("core"));
}

#[tokio::test]
async fn a_declared_timeout_never_lengthens_the_job() {
    let (world, claimed) = world().await;
    let before = claimed.job.deadline;
    let master = world.master(claimed).await;
    let declaration = Declaration { name: String::new(), timeout: Some(Duration::from_secs(90_000)), egress: None };
    master.job.declare(&call("declare", "/declare#0"), declaration).await.unwrap();
    assert_eq!(world.row(master.job.row.id).await.deadline, before);
}

#[tokio::test]
async fn a_declaration_that_asks_for_more_egress_fails_the_job_whatever_follows() {
    let mut site = pipeline("site", "web");
    site.egress_allowlist = Some(vec!["*.example.com".to_owned()]);
    let world = World::new(site.clone()).await;
    let claimed = world.claim(&site).await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    let declare = |hosts: &[&str]| Declaration {
        name: String::new(),
        timeout: None,
        egress: Some(hosts.iter().map(|host| (*host).to_owned()).collect()),
    };
    master.job.declare(&call("declare", "/declare#0"), declare(&["a.example.com"])).await.unwrap();
    let refused = master.job.declare(&call("declare", "/declare#1"), declare(&["evil.example.org"])).await;
    assert!(matches!(&refused, Err(CallError::Denied(text)) if text.contains("evil.example.org")), "{refused:?}");
    assert!(matches!(master.run("/run#0", request("exit 0")).await, Err(CallError::Denied(_))));
    assert_eq!(master.ended().await, Status::Failure);
    assert!(world.row(id).await.reason.unwrap().contains("evil.example.org"));
}

#[tokio::test]
async fn a_missing_danubefile_is_a_configuration_failure_that_says_where() {
    let (mut world, claimed) = world().await;
    world.script = false;
    let id = claimed.job.id;
    assert_eq!(world.driven(claimed).await, Driven::Ended(Status::Failure));
    let row = world.row(id).await;
    assert_eq!(row.failure_kind, Some(FailureKind::Configuration));
    let reason = row.reason.unwrap();
    for part in ["'site'", "'danubefile.py'", &"a".repeat(40)] {
        assert!(reason.contains(part), "{reason}");
    }
}

#[tokio::test]
async fn another_call_at_a_recorded_key_fails_the_job_and_shows_both() {
    let (world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    master.run("/run#0", request("exit 0")).await.unwrap();
    let error = master.run("/run#0", request("exit 1")).await.unwrap_err();
    assert!(error.to_string().contains("exit 0") && error.to_string().contains("exit 1"), "{error}");
    assert!(matches!(error, CallError::Nondeterministic(_)));
    assert_eq!(master.ended().await, Status::Failure);
    assert!(world.row(id).await.reason.unwrap().starts_with("nondeterministic pipeline"));
    assert_eq!(world.executor.torn_down(), [id]);
}

#[tokio::test]
async fn a_coordinator_that_is_lost_again_and_again_loses_the_attempt() {
    let (world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    let most = u32::try_from(crate::orchestrator::coordinate::RESTARTS).unwrap() + 1;
    for attempt in 1..=most {
        world.executor.finish(world.executor.coordinator(attempt).await, StepState::Lost);
    }
    assert_eq!(master.driving.await.unwrap().unwrap(), Driven::Retried);
    let row = world.row(id).await;
    assert_eq!(row.status, Status::Pending);
    assert!(row.run_after > row.created_at);
}

#[tokio::test]
async fn a_lost_lease_ends_the_driver_and_writes_nothing_more() {
    let (world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    world.executor.coordinator(1).await;
    queue::adopt(&world.test.store, "m2").await.unwrap();
    world.executor.finish(world.executor.coordinator(1).await, StepState::Ended(end(0)));
    assert_eq!(master.driving.await.unwrap().unwrap(), Driven::LeaseLost);
    assert_eq!(world.row(id).await.status, Status::Running);
}
