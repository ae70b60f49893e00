//! Artifacts of a job: stored, fetched, kept for the right end.
use super::fake::end;
use super::world::{World, call};
use crate::executor::StepState;
use crate::model::job::Status;
use crate::orchestrator::*;
use crate::store::artifacts;
use crate::store::testing::pipeline;

async fn world() -> (World, crate::queue::Claimed) {
    let site = pipeline("site", "web");
    let world = World::new(site.clone()).await;
    world.executor.put("dist/a.tar", b"abc");
    world.executor.put("dist/b.tar", b"other");
    let claimed = world.claim(&site).await;
    (world, claimed)
}

fn upload(path: &str, name: &str, when: &str) -> Upload {
    Upload::parse(path.to_owned(), name.to_owned(), when, true).unwrap()
}

#[tokio::test]
async fn a_stored_artifact_has_the_digest_of_its_bytes() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    let kept = master.job.store_artifact(call("upload", "/upload#0"), upload("dist/a.tar", "a", "")).await.unwrap();
    assert_eq!(kept.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(kept.size, 3);
    let again = master.job.store_artifact(call("upload", "/upload#0"), upload("dist/a.tar", "a", "")).await.unwrap();
    assert_eq!(again, kept);
    master
        .job
        .fetch_artifact(call("download", "/download#0"), "a".to_owned(), "in".to_owned(), String::new())
        .await
        .unwrap();
    assert_eq!(world.executor.imported(), [("in/a".to_owned(), b"abc".to_vec())]);
}

#[tokio::test]
async fn other_bytes_under_a_used_name_are_refused_by_name() {
    let (world, claimed) = world().await;
    let master = world.master(claimed).await;
    master.job.store_artifact(call("upload", "/upload#0"), upload("dist/a.tar", "a", "")).await.unwrap();
    master.job.store_artifact(call("upload", "/upload#1"), upload("dist/a.tar", "a", "")).await.unwrap();
    let clash = master.job.store_artifact(call("upload", "/upload#2"), upload("dist/b.tar", "a", "")).await;
    assert!(
        matches!(&clash, Err(CallError::Invalid(text)) if text.contains("'a'") && text.contains("another name")),
        "{clash:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_stored_says_why() {
    let (world, claimed) = world().await;
    world.executor.put("huge", &vec![0; (1 << 20) + 1]);
    let master = world.master(claimed).await;
    let store = |n: u32, upload| master.job.store_artifact(call("upload", &format!("/upload#{n}")), upload);
    let missing = store(0, upload("none", "n", "")).await;
    assert_eq!(missing, Err(CallError::NotFound("none: no such file in the workspace".to_owned())));
    let huge = store(1, upload("huge", "h", "")).await;
    assert!(matches!(&huge, Err(CallError::Invalid(text)) if text.contains("1048576")), "{huge:?}");
    let named = store(2, upload("dist/a.tar", "../a", "")).await;
    assert!(matches!(named, Err(CallError::Invalid(_))));
    let nothing =
        master.job.fetch_artifact(call("download", "/download#0"), "x".to_owned(), String::new(), String::new()).await;
    assert!(matches!(nothing, Err(CallError::NotFound(_))));
    let foreign = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
    let other =
        master.job.fetch_artifact(call("download", "/download#1"), "x".to_owned(), String::new(), foreign).await;
    assert!(matches!(&other, Err(CallError::NotFound(text)) if text.contains("has no job")), "{other:?}");
}

#[tokio::test]
async fn only_artifacts_for_the_jobs_end_are_kept() {
    let (world, claimed) = world().await;
    let id = claimed.job.id;
    let master = world.master(claimed).await;
    for (n, (path, name, when)) in
        [("dist/a.tar", "good", ""), ("dist/b.tar", "bad", "failure"), ("dist/a.tar", "both", "always")]
            .into_iter()
            .enumerate()
    {
        master.job.store_artifact(call("upload", &format!("/upload#{n}")), upload(path, name, when)).await.unwrap();
    }
    world.executor.finish(world.executor.coordinator(1).await, StepState::Ended(end(0)));
    assert_eq!(master.ended().await, Status::Success);
    let rows = world.test.store.read(move |view| artifacts::of_job(view, id)).await.unwrap();
    let kept: Vec<_> = rows.iter().filter(|row| row.expired_at.is_none()).map(|row| row.name.as_str()).collect();
    assert_eq!(kept, ["both", "good"]);
    let files = std::fs::read_dir(world.test.dir.path().join("artifacts").join(id.to_string())).unwrap();
    assert_eq!(files.count(), 1);
}
