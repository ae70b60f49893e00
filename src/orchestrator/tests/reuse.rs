//! Rerun from failed: what is answered from the parent and what runs, and the workspaces that are kept for it.
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use futures::FutureExt as _;

use super::fake::end;
use super::request;
use super::world::{Master, World, call};
use crate::executor::StepState;
use crate::model::job::Status;
use crate::model::settings::Pipeline;
use crate::model::step::Cause;
use crate::model::trigger::Trigger;
use crate::model::{JobId, Principal};
use crate::orchestrator::*;
use crate::provenance::RECORD_TYPE;
use crate::queue::{self, Claimed};
use crate::store::testing::pipeline;
use crate::store::{Durability, artifacts, attestations, jobs, kept_workspaces};
use crate::trigger::no_workspace;

const DAY: Duration = Duration::from_secs(86_400);

async fn world() -> (World, Pipeline) {
    let site = pipeline("site", "web");
    let mut world = World::new(site.clone()).await;
    world.keeping = Keeping { age: DAY, bytes: 100 };
    (world, site)
}

async fn rerun(world: &World, site: &Pipeline, parent: JobId) -> Claimed {
    let reuse = |job: &mut queue::NewJob| {
        (job.parent, job.reuse, job.trigger) = (Some(parent), true, Trigger::Rerun);
    };
    world.claim_with(site, reuse).await
}

/// The danubefile ends with this code.
async fn ends(world: &World, master: Master, code: i32) -> Status {
    world.executor.finish(world.executor.coordinator(1).await, StepState::Ended(end(code)));
    master.ended().await
}

/// A job with one good step and one bad one.
async fn failed(world: &World, site: &Pipeline) -> JobId {
    let claimed = world.claim(site).await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    master.run("/run#0", request("exit 0")).await.unwrap();
    master.run("/run#1", request("exit 7")).await.unwrap();
    assert_eq!(ends(world, master, 1).await, Status::Failure);
    id
}

fn engine(world: &World) -> Arc<Engine> {
    world.engine(Arc::new(|_, _, stop| async move { stop.cancelled().await }.boxed()))
}

/// Why a job cannot go on where it stopped.
async fn why(world: &World, job: JobId) -> Option<String> {
    world.test.store.read(move |view| no_workspace(view, &jobs::get(view, job)?)).await.unwrap()
}

#[tokio::test]
async fn a_rerun_is_answered_by_its_parent_up_to_the_point_where_reuse_ends() {
    let (world, site) = world().await;
    let claimed = world.claim(&site).await;
    let parent = claimed.job.id;
    let master = world.master(claimed).await;
    let now = master.job.now(&call("now", "/now#0")).await.unwrap();
    let random = master.job.random(&call("random", "/random#0")).await.unwrap();
    let built = master.run("/run#0", request("print built")).await.unwrap();
    master.run("/parallel#0[0]/run#0", request("exit 0")).await.unwrap();
    master.run("/parallel#0[1]/run#0", request("exit 7")).await.unwrap();
    master.run("/run#1", request("print later")).await.unwrap();
    let later = master.job.now(&call("now", "/now#1")).await.unwrap();
    assert_eq!(ends(&world, master, 1).await, Status::Failure);
    assert_eq!((world.executor.kept(), why(&world, parent).await), (vec![parent], None));

    world.test.clock.advance(Duration::from_secs(60));
    let claimed = rerun(&world, &site, parent).await;
    let id = claimed.job.id;
    assert_eq!(claimed.job.max_attempts, 1, "with its attempt it would lose the workspace");
    let master = world.master(claimed).await;
    assert_eq!(master.job.now(&call("now", "/now#0")).await.unwrap(), now);
    assert_eq!(master.job.random(&call("random", "/random#0")).await.unwrap(), random);
    assert_eq!(master.run("/run#0", request("print built")).await.unwrap(), built);
    // The branch that had failed goes on; the one beside it is done.
    let failed = master.run("/parallel#0[1]/run#0", request("exit 7")).await.unwrap();
    assert_eq!((failed.outcome, failed.step), (Cause::Exit, 3));
    master.run("/parallel#0[0]/run#0", request("exit 0")).await.unwrap();
    // What comes after them runs, and a master that is followed by another one knows where reuse has ended.
    master.stop().await;
    let master = world.again().await;
    master.run("/run#1", request("print later")).await.unwrap();
    assert_ne!(master.job.now(&call("now", "/now#1")).await.unwrap(), later);
    let added = master.run("/run#2", request("print added")).await.unwrap();
    assert_eq!(added.step, 5, "behind all steps of the parent");
    assert_eq!(ends(&world, master, 0).await, Status::Success);

    let shown: Vec<_> = world
        .steps(id)
        .await
        .into_iter()
        .filter(|row| row.seq > 0)
        .map(|row| (row.seq, row.command, row.reused_label))
        .collect();
    let from = Some("site#1".to_owned());
    assert_eq!(
        shown,
        [
            (1, "print built".to_owned(), from.clone()),
            (2, "exit 0".to_owned(), from),
            (3, "exit 7".to_owned(), None),
            (4, "print later".to_owned(), None),
            (5, "print added".to_owned(), None),
        ]
    );
    let told = why(&world, parent).await.unwrap();
    assert_eq!(told, "site#2 went on in its workspace");
    let record = world.test.store.read(move |view| attestations::find(view, id)).await.unwrap().unwrap();
    assert_eq!(record.predicate_type, RECORD_TYPE);
    let envelope: serde_json::Value = serde_json::from_str(&record.envelope).unwrap();
    let payload = base64::engine::general_purpose::STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let statement: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    let continued = &statement["predicate"]["continued"];
    assert_eq!((continued["job"].as_str(), continued["jobId"].as_str()), (Some("site#1"), Some(&*parent.to_string())));
    let reused: Vec<_> = continued["reusedSteps"].as_array().unwrap().iter().map(|step| &step["number"]).collect();
    assert_eq!(reused, [1, 2]);
}

#[tokio::test]
async fn another_call_ends_reuse_and_a_failure_that_is_allowed_does_not() {
    let (world, site) = world().await;
    let claimed = world.claim(&site).await;
    let parent = claimed.job.id;
    let master = world.master(claimed).await;
    let lint = StepRequest { allow_failure: true, ..request("exit 3") };
    master.run("/run#0", lint.clone()).await.unwrap();
    master.run("/run#1", request("print one")).await.unwrap();
    let secret = StepRequest { capture: Capture::Secret, ..request("print a-fresh-token") };
    master.run("/matrix#0[a=1]/run#0", secret.clone()).await.unwrap();
    master.run("/matrix#0[a=2]/run#0", request("print two")).await.unwrap();
    master.run("/matrix#0[a=2]/run#1", request("print three")).await.unwrap();
    assert_eq!(ends(&world, master, 1).await, Status::Failure);
    let master = world.master(rerun(&world, &site, parent).await).await;
    master.run("/run#0", lint).await.unwrap();
    master.run("/run#1", request("print one")).await.unwrap();
    // What a step wrote as a secret was forgotten with its job.
    master.run("/matrix#0[a=1]/run#0", secret).await.unwrap();
    master.run("/matrix#0[a=2]/run#0", request("print changed")).await.unwrap();
    master.run("/matrix#0[a=2]/run#1", request("print three")).await.unwrap();
    let starts = |command: &str| world.executor.starts(command);
    assert_eq!((starts("exit 3"), starts("print one")), (0, 0));
    assert_eq!((starts("print a-fresh-token"), starts("print changed"), starts("print three")), (1, 1, 1));
    assert_eq!(ends(&world, master, 0).await, Status::Success);
}

#[tokio::test]
async fn an_artifact_of_a_reused_call_is_the_reruns_too() {
    let (world, site) = world().await;
    world.executor.put("dist/a", b"abc");
    let claimed = world.claim(&site).await;
    let parent = claimed.job.id;
    let master = world.master(claimed).await;
    let upload = || Upload::parse("dist/a".to_owned(), "a".to_owned(), "", true).unwrap();
    master.run("/run#0", request("exit 0")).await.unwrap();
    let kept = master.job.store_artifact(call("upload", "/upload#0"), upload()).await.unwrap();
    assert_eq!(ends(&world, master, 1).await, Status::Failure);
    let of = |job: JobId| world.test.store.read(move |view| artifacts::of_job(view, job));
    assert!(of(parent).await.unwrap()[0].expired_at.is_some(), "it was for a good end");

    world.executor.put("dist/a", b"changed by a later step");
    let claimed = rerun(&world, &site, parent).await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    master.run("/run#0", request("exit 0")).await.unwrap();
    assert_eq!(master.job.store_artifact(call("upload", "/upload#0"), upload()).await.unwrap(), kept);
    assert_eq!(ends(&world, master, 0).await, Status::Success);
    let rows = of(id).await.unwrap();
    assert_eq!((rows.len(), rows[0].sha256.as_str(), rows[0].expired_at), (1, kept.sha256.as_str(), None));
    let dirs = engine(&world).dirs.clone();
    assert_eq!(std::fs::read(dirs.artifacts_of(id).join(&kept.sha256)).unwrap(), b"abc");
    assert!(!dirs.artifacts_of(parent).join(&kept.sha256).exists(), "nobody can go on from the parent any more");
}

#[tokio::test]
async fn what_is_kept_stays_within_its_time_and_size_oldest_first() {
    let (world, site) = world().await;
    world.executor.weigh(60);
    let first = failed(&world, &site).await;
    world.test.clock.advance(Duration::from_secs(1));
    let second = failed(&world, &site).await;
    assert_eq!(world.executor.kept(), [second], "together they are too large");
    assert!(why(&world, first).await.unwrap().contains("newer ones needed the room"));
    world.executor.weigh(101);
    let large = failed(&world, &site).await;
    assert_eq!(world.executor.kept(), [second]);
    assert!(why(&world, large).await.unwrap().contains("larger than what may be kept"));
    world.executor.weigh(1);
    let engine = engine(&world);
    world.test.clock.advance(DAY - Duration::from_secs(1));
    assert_eq!(evict(&engine).await.unwrap(), []);
    let third = failed(&world, &site).await;
    world.test.clock.advance(Duration::from_secs(1));
    assert_eq!(evict(&engine).await.unwrap(), [second]);
    assert_eq!(world.executor.kept(), [third]);
    assert!(why(&world, second).await.unwrap().contains("its time was up"));
    // One that a rerun waits for stays.
    let waiting = rerun(&world, &site, third).await;
    world.test.clock.advance(DAY);
    assert_eq!(evict(&engine).await.unwrap(), []);
    assert_eq!(why(&world, third).await.unwrap(), "site#5 goes on in its workspace");
    let lease = waiting.lease;
    let event = crate::model::job::Event::Rejected;
    queue::finish(&world.test.store, lease, event, None).await.unwrap();
    assert_eq!(evict(&engine).await.unwrap(), [third]);
}

#[tokio::test]
async fn only_what_a_rerun_could_go_on_in_is_kept() {
    let (world, site) = world().await;
    let claimed = world.claim(&site).await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    master.run("/run#0", request("exit 7")).await.unwrap();
    assert_eq!(ends(&world, master, 1).await, Status::Failure);
    assert_eq!(why(&world, id).await.unwrap(), "none of its steps had ended well");
    let claimed = world.claim(&site).await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    master.run("/run#0", request("exit 0")).await.unwrap();
    assert_eq!(ends(&world, master, 0).await, Status::Success);
    assert_eq!(why(&world, id).await.unwrap(), "it ended well");
    let claimed = world.claim(&site).await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    master.run("/run#0", request("exit 0")).await.unwrap();
    queue::cancel(&world.test.store, id, Principal::LocalAdmin).await.unwrap();
    assert_eq!(master.ended().await, Status::Cancelled);
    assert_eq!((why(&world, id).await, world.executor.kept()), (None, vec![id]));
}

#[tokio::test]
async fn a_master_that_dies_between_the_workspace_and_its_row_is_followed_by_one_that_finds_both() {
    let (world, site) = world().await;
    let claimed = world.claim(&site).await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    master.run("/run#0", request("exit 0")).await.unwrap();
    world.executor.fail("keep without an answer", 1);
    world.executor.finish(world.executor.coordinator(1).await, StepState::Ended(end(1)));
    world.executor.keeps(id).await;
    master.stop().await;
    let row = world.test.store.read(move |view| kept_workspaces::find(view, id)).await.unwrap();
    assert!(row.is_none());
    let adopted = recover(&engine(&world), "m2").await.unwrap().into_iter().next().unwrap();
    assert_eq!(world.driven(adopted).await, Driven::Ended(Status::Failure));
    assert_eq!((world.executor.kept(), why(&world, id).await), (vec![id], None));
}

#[tokio::test]
async fn rows_and_directories_are_brought_together_at_the_start() {
    let (world, site) = world().await;
    let (lost, stray, good) = (failed(&world, &site).await, failed(&world, &site).await, failed(&world, &site).await);
    world.executor.lose(lost);
    let mark = move |tx: &crate::store::Tx<'_>| kept_workspaces::mark_gone(tx, stray, kept_workspaces::Gone::Age);
    world.test.store.write("test", Durability::Progress, mark).await.unwrap();
    // A master died between the taking of this one and the move to the job that took it.
    let taken = failed(&world, &site).await;
    let claimed = rerun(&world, &site, taken).await;
    let (lease, id) = (claimed.lease.id, claimed.job.id);
    let take = move |tx: &crate::store::Tx<'_>| kept_workspaces::take(tx, lease, taken, id);
    assert!(world.test.store.write("test", Durability::Progress, take).await.unwrap());
    recover(&engine(&world), "m2").await.unwrap();
    assert_eq!(world.executor.kept(), [good, taken]);
    assert_eq!(why(&world, lost).await.unwrap(), "its workspace is not on the machine any more");
    assert_eq!(why(&world, good).await, None);
}

#[tokio::test]
async fn a_rerun_whose_workspace_is_gone_says_so_and_takes_nobody_elses() {
    let (world, site) = world().await;
    let parent = failed(&world, &site).await;
    world.executor.lose(parent);
    let claimed = rerun(&world, &site, parent).await;
    let id = claimed.job.id;
    assert_eq!(world.driven(claimed).await, Driven::Ended(Status::Failure));
    assert!(world.row(id).await.reason.unwrap().contains("gone"));
    let claimed = rerun(&world, &site, parent).await;
    let id = claimed.job.id;
    assert_eq!(world.driven(claimed).await, Driven::Ended(Status::Failure));
    let told = world.row(id).await.reason.unwrap();
    assert!(told.contains("site#2 went on in its workspace") && told.contains("danube job rerun site#1"), "{told}");
}
