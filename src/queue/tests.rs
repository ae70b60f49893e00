//! The queue's behaviour, one transition at a time.
use std::time::Duration;

use super::*;
use crate::model::call::Place;
use crate::model::job::{Event, FailureKind, Status};
use crate::model::settings::{Concurrency, Pipeline};
use crate::model::step::{Cause, StepStatus};
use crate::model::trigger::{RepoEvent, Revision, Trigger};
use crate::model::{JobId, Principal};
use crate::store::artifacts::{ArtifactKind, KeepWhen, NewArtifact};
use crate::store::testing::{TestStore, pipeline, settings, with};
use crate::store::{Durability, JobRow, artifacts, attestations, jobs, journal, steps};

const TEN: Limits = Limits { max_running: 10 };

/// A new job of a pipeline.
pub(super) async fn new_job(test: &TestStore, pipeline: &Pipeline) -> NewJob {
    NewJob {
        pipeline_id: test.pipeline_id(&pipeline.name).await,
        pipeline: pipeline.clone(),
        config_commit: "c0ffee".into(),
        trigger: Trigger::Webhook,
        event: Some(RepoEvent::Push),
        origin: None,
        actor: Principal::System,
        revision: Revision {
            commit: "a".repeat(40),
            branch: "main".into(),
            tag: None,
            message: "Change".into(),
            author: "Alice <alice@example.com>".into(),
        },
        pull_request: None,
        pr_base: None,
        fork: false,
        params: [("level".to_owned(), "3".to_owned())].into(),
        parent: None,
        reuse: false,
        dedupe_key: None,
    }
}

async fn setup<const N: usize>(pipelines: [&Pipeline; N]) -> TestStore {
    with(settings(pipelines.map(Pipeline::clone).to_vec())).await
}

async fn add(test: &TestStore, pipeline: &Pipeline) -> JobId {
    enqueue(&test.store, new_job(test, pipeline).await).await.unwrap().id
}

async fn take(test: &TestStore) -> Option<Claimed> {
    claim(&test.store, "m1", TEN).await.unwrap()
}

async fn job(test: &TestStore, id: JobId) -> JobRow {
    test.store.read(move |v| jobs::get(v, id)).await.unwrap()
}

#[tokio::test]
async fn a_job_goes_from_its_trigger_to_its_end() {
    let site = pipeline("site", "web");
    let test = setup([&site]).await;
    let id = add(&test, &site).await;
    let row = job(&test, id).await;
    assert_eq!((row.status, row.number, row.label().as_str()), (Status::Pending, 1, "site#1"));
    assert_eq!(row.pipeline().unwrap(), site);
    assert_eq!(row.params["level"], "3");
    let claimed = take(&test).await.unwrap();
    assert_eq!((claimed.job.status, claimed.job.attempt), (Status::Running, 1));
    assert_eq!(claimed.job.deadline.unwrap(), test.clock_now() + jiff::SignedDuration::from_secs(3600));
    renew(&test.store, claimed.lease).await.unwrap();
    let status = finish(&test.store, claimed.lease, Event::Exited { code: 0 }, None).await.unwrap();
    assert_eq!(status, Status::Success);
    let row = job(&test, id).await;
    assert!(row.finished_at.is_some() && row.lease_id.is_none());
    assert!(take(&test).await.is_none());
}

#[tokio::test]
async fn the_same_dedupe_key_makes_one_job() {
    let site = pipeline("site", "web");
    let test = setup([&site]).await;
    let mut new = new_job(&test, &site).await;
    new.dedupe_key = Some("push:1".into());
    let first = enqueue(&test.store, new.clone()).await.unwrap();
    let second = enqueue(&test.store, new).await.unwrap();
    assert_eq!(second, Enqueued { id: first.id, new: false });
    assert_eq!(add(&test, &site).await, job(&test, test.last().await).await.id);
    assert_eq!(job(&test, test.last().await).await.number, 2);
}

#[tokio::test]
async fn the_team_with_the_fewest_running_jobs_comes_first() {
    let (site, infra) = (pipeline("site", "web"), pipeline("infra", "ops"));
    let test = setup([&site, &infra]).await;
    let first = add(&test, &site).await;
    let second = add(&test, &site).await;
    let third = add(&test, &infra).await;
    let mut order = Vec::new();
    while let Some(claimed) = take(&test).await {
        order.push(claimed.job.id);
    }
    assert_eq!(order, [first, third, second]);
}

#[tokio::test]
async fn limits_hold_and_a_parked_job_frees_its_slot() {
    let mut site = pipeline("site", "web");
    site.concurrency.max_running = Some(1);
    let infra = pipeline("infra", "ops");
    let test = setup([&site, &infra]).await;
    let limits = Limits { max_running: 2 };
    add(&test, &site).await;
    let waiting = add(&test, &site).await;
    let running = claim(&test.store, "m1", limits).await.unwrap().unwrap();
    assert!(claim(&test.store, "m1", limits).await.unwrap().is_none());
    let why = waiting_reason(&test.store, waiting, limits).await.unwrap().unwrap();
    assert_eq!(why, "site runs 1 of at most 1 jobs at once");
    park(&test.store, running.lease, "waits for an approval".into()).await.unwrap();
    let second = claim(&test.store, "m1", limits).await.unwrap().unwrap();
    assert_eq!(second.job.id, waiting);
    add(&test, &infra).await;
    claim(&test.store, "m1", limits).await.unwrap().unwrap();
    let full = add(&test, &infra).await;
    assert!(claim(&test.store, "m1", limits).await.unwrap().is_none());
    let why = waiting_reason(&test.store, full, limits).await.unwrap().unwrap();
    assert!(why.starts_with("all 2 slots are taken"), "{why}");
    unpark(&test.store, running.lease).await.unwrap();
    assert_eq!(job(&test, running.job.id).await.parked_reason, None);
}

#[tokio::test]
async fn one_job_of_a_group_runs_at_a_time_even_when_it_is_parked() {
    let mut site = pipeline("site", "web");
    site.concurrency = Concurrency { group: Some("deploy".into()), ..Concurrency::default() };
    let test = setup([&site]).await;
    add(&test, &site).await;
    let waiting = add(&test, &site).await;
    let first = take(&test).await.unwrap();
    park(&test.store, first.lease, "waits".into()).await.unwrap();
    assert!(take(&test).await.is_none());
    let why = waiting_reason(&test.store, waiting, TEN).await.unwrap().unwrap();
    assert_eq!(why, "waits for site#1, which runs in the same concurrency group");
    finish(&test.store, first.lease, Event::Exited { code: 0 }, None).await.unwrap();
    assert_eq!(take(&test).await.unwrap().job.id, waiting);
}

#[tokio::test]
async fn a_newer_job_supersedes_those_of_its_group_and_branch_only() {
    let mut site = pipeline("site", "web");
    site.concurrency.group = Some("ci-{branch}".into());
    site.concurrency.cancel_superseded = true;
    let test = setup([&site]).await;
    let running = add(&test, &site).await;
    take(&test).await.unwrap();
    let waiting = add(&test, &site).await;
    let mut fork = new_job(&test, &site).await;
    (fork.pull_request, fork.fork) = (Some(7), true);
    let fork = enqueue(&test.store, fork).await.unwrap().id;
    assert_eq!(job(&test, waiting).await.status, Status::Pending, "a fork's branch name counts for nothing");
    let newest = add(&test, &site).await;
    let (running, waiting) = (job(&test, running).await, job(&test, waiting).await);
    assert_eq!((running.status, running.cancel_requested_by.as_deref()), (Status::Running, Some("system")));
    assert_eq!((waiting.status, waiting.reason.as_deref()), (Status::Cancelled, Some("superseded by site#4")));
    assert_eq!(job(&test, fork).await.status, Status::Pending);
    assert_eq!(job(&test, newest).await.status, Status::Pending);
}

#[tokio::test]
async fn a_cancel_has_a_defined_result_in_every_state() {
    let site = pipeline("site", "web");
    let test = setup([&site]).await;
    let id = add(&test, &site).await;
    let stop = |id| cancel(&test.store, id, Principal::LocalAdmin);
    assert_eq!(stop(id).await.unwrap(), Cancelled::AtOnce);
    assert_eq!(stop(id).await.unwrap(), Cancelled::AlreadyEnded(Status::Cancelled));
    assert_eq!(job(&test, id).await.reason.as_deref(), Some("cancelled by local-admin"));
    let id = add(&test, &site).await;
    let claimed = take(&test).await.unwrap();
    assert_eq!(stop(id).await.unwrap(), Cancelled::Requested);
    assert_eq!(stop(id).await.unwrap(), Cancelled::AlreadyRequested);
    assert_eq!(finish(&test.store, claimed.lease, Event::Stopped, None).await.unwrap(), Status::Cancelled);
    let nobody = JobId::from_uuid(uuid::Uuid::nil());
    assert!(stop(nobody).await.unwrap_err().to_string().contains("there is no job"));
}

#[tokio::test]
async fn a_lost_job_waits_longer_each_time_and_fails_at_last() {
    let site = pipeline("site", "web");
    let test = setup([&site]).await;
    let id = add(&test, &site).await;
    for (attempt, minutes) in [(1, 2), (2, 4)] {
        let claimed = take(&test).await.unwrap();
        assert_eq!(claimed.job.attempt, attempt);
        let run_after = test.clock_now() + jiff::SignedDuration::from_mins(minutes);
        let became = lost(&test.store, claimed.lease, "the executor is gone".into()).await.unwrap();
        assert_eq!(became, Lost::Retried { run_after });
        assert!(take(&test).await.is_none());
        assert_eq!(next_run_after(&test.store).await.unwrap(), Some(run_after));
        let why = waiting_reason(&test.store, id, TEN).await.unwrap().unwrap();
        assert!(why.contains("the executor is gone"), "{why}");
        test.clock.advance(Duration::from_secs(60 * minutes as u64));
    }
    let claimed = take(&test).await.unwrap();
    let became = lost(&test.store, claimed.lease, "again".into()).await.unwrap();
    assert_eq!(became, Lost::Ended(Status::Failure));
    assert_eq!(job(&test, id).await.failure_kind, Some(FailureKind::Infrastructure));
}

#[tokio::test]
async fn a_lost_job_that_was_to_be_cancelled_is_not_tried_again() {
    let site = pipeline("site", "web");
    let test = setup([&site]).await;
    let id = add(&test, &site).await;
    let claimed = take(&test).await.unwrap();
    cancel(&test.store, id, Principal::LocalAdmin).await.unwrap();
    let became = lost(&test.store, claimed.lease, "gone".into()).await.unwrap();
    assert_eq!(became, Lost::Ended(Status::Cancelled));
}

#[tokio::test]
async fn a_lost_lease_stops_every_write_of_the_old_driver() {
    let site = pipeline("site", "web");
    let test = setup([&site]).await;
    let id = add(&test, &site).await;
    let old = take(&test).await.unwrap();
    let adopted = adopt(&test.store, "m2").await.unwrap();
    assert_eq!((adopted.len(), adopted[0].job.attempt), (1, 1));
    assert_eq!(adopted[0].job.lease_owner.as_deref(), Some("m2"));
    let store = &test.store;
    assert!(matches!(renew(store, old.lease).await, Err(QueueError::LeaseLost { .. })));
    assert!(matches!(park(store, old.lease, "x".into()).await, Err(QueueError::LeaseLost { .. })));
    assert!(matches!(lost(store, old.lease, "x".into()).await, Err(QueueError::LeaseLost { .. })));
    assert!(matches!(declare(store, old.lease, None, None).await, Err(QueueError::LeaseLost { .. })));
    let late = finish(store, old.lease, Event::Exited { code: 1 }, None).await;
    assert!(matches!(late, Err(QueueError::LeaseLost { .. })));
    let step = new_step(id);
    let lease = old.lease.id;
    assert!(store.write("test", Durability::Progress, move |tx| steps::insert(tx, lease, &step)).await.is_err());
    let none = std::collections::HashSet::new();
    assert_eq!(unheld(store, none).await.unwrap(), [adopted[0].lease]);
    finish(store, adopted[0].lease, Event::Exited { code: 0 }, None).await.unwrap();
    let twice = finish(store, adopted[0].lease, Event::Exited { code: 1 }, None).await;
    assert!(matches!(twice, Err(QueueError::AlreadyTerminal { status: Status::Success, .. })));
}

fn new_step(job: JobId) -> steps::NewStep {
    steps::NewStep {
        job_id: job,
        job_attempt: 1,
        seq: None,
        attempt: 1,
        branch: String::new(),
        key: "/run#0".into(),
        name: "Test".into(),
        image: "alpine:3".into(),
        command: "true".into(),
        allow_failure: false,
        kind: steps::StepKind::Step,
    }
}

fn new_call(job: JobId) -> journal::NewCall {
    journal::NewCall {
        job_id: job,
        key: "/run#0".into(),
        call_hash: "h".into(),
        place: Place { file: "danubefile.py".into(), line: 3 },
        request: "{}".into(),
    }
}

#[tokio::test]
async fn steps_and_calls_of_a_lost_attempt_end_and_the_next_starts_from_nothing() {
    let site = pipeline("site", "web");
    let test = setup([&site]).await;
    let id = add(&test, &site).await;
    let first = take(&test).await.unwrap();
    let lease = first.lease.id;
    let step = test.store.write("test", Durability::Progress, move |tx| {
        journal::open(tx, lease, &new_call(id))?;
        journal::answer(tx, lease, id, "/run#0", b"42")?;
        journal::answer(tx, lease, id, "/run#0", b"43")?;
        let step = steps::insert(tx, lease, &new_step(id))?;
        steps::start(tx, lease, step.id, tx.now(), Some("sha256:1"))?;
        let stored = NewArtifact {
            job_id: id,
            name: "dist".into(),
            sha256: "0".repeat(64),
            size: 1,
            kind: ArtifactKind::File,
            keep_when: KeepWhen::Success,
            provenance: true,
        };
        artifacts::insert(tx, lease, &stored)?;
        Ok(step)
    });
    let step = step.await.unwrap();
    assert_eq!((step.seq, step.log_stream.as_str()), (1, "1.1"));
    let call = test.store.read(move |v| journal::find(v, id, "/run#0")).await.unwrap().unwrap();
    assert_eq!(call.answer.as_deref(), Some(b"42".as_slice()), "the first answer stands");
    lost(&test.store, first.lease, "power".into()).await.unwrap();
    let step = test.store.read(move |v| steps::get(v, step.id)).await.unwrap();
    assert_eq!((step.status, step.cause), (StepStatus::Failure, Some(Cause::Infra)));
    assert_eq!(test.store.read(move |v| journal::count(v, id)).await.unwrap(), 0);
    assert!(test.store.read(move |v| artifacts::of_job(v, id)).await.unwrap().is_empty(), "it may store other bytes");
    test.clock.advance(Duration::from_secs(120));
    let second = take(&test).await.unwrap();
    let mut again = new_step(id);
    again.job_attempt = 2;
    let lease = second.lease.id;
    let step =
        test.store.write("test", Durability::Progress, move |tx| steps::insert(tx, lease, &again)).await.unwrap();
    assert_eq!(step.seq, 2);
    finish(&test.store, second.lease, Event::DeadlinePassed, Some("1 h passed".into())).await.unwrap();
    let step = test.store.read(move |v| steps::get(v, step.id)).await.unwrap();
    assert_eq!(step.status, StepStatus::Timeout);
}

#[tokio::test]
async fn a_finished_job_waits_for_its_record_once() {
    let site = pipeline("site", "web");
    let test = setup([&site]).await;
    let id = add(&test, &site).await;
    let insert = move |tx: &crate::store::Tx<'_>| attestations::insert(tx, id, "record", "key", "{}");
    assert!(test.store.write("test", Durability::Acknowledged, insert).await.is_err());
    let claimed = take(&test).await.unwrap();
    finish(&test.store, claimed.lease, Event::Rejected, Some("no danubefile".into())).await.unwrap();
    assert_eq!(test.store.read(|v| jobs::unrecorded(v, 9)).await.unwrap().len(), 1);
    test.store.write("test", Durability::Acknowledged, insert).await.unwrap();
    test.store.write("test", Durability::Acknowledged, insert).await.unwrap();
    assert!(test.store.read(|v| jobs::unrecorded(v, 9)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_declared_timeout_only_brings_the_deadline_nearer() {
    let site = pipeline("site", "web");
    let test = setup([&site]).await;
    add(&test, &site).await;
    let claimed = take(&test).await.unwrap();
    let deadline = claimed.job.deadline;
    let long = declare(&test.store, claimed.lease, Some("Site".into()), Some(jiff::SignedDuration::from_hours(9)));
    assert_eq!(long.await.unwrap(), deadline);
    let short = declare(&test.store, claimed.lease, None, Some(jiff::SignedDuration::from_mins(1))).await.unwrap();
    assert!(short < deadline);
    assert_eq!(job(&test, claimed.job.id).await.title.as_deref(), Some("Site"));
}

impl TestStore {
    fn clock_now(&self) -> jiff::Timestamp {
        self.store.clock().now()
    }

    async fn last(&self) -> JobId {
        let filter = crate::store::job_list::Filter { limit: 1, ..Default::default() };
        self.store.read(move |v| crate::store::job_list::page(v, &filter)).await.unwrap()[0].id
    }
}
