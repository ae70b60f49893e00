use super::*;
use crate::executor::Executor as _;
use crate::model::settings::usual_branches;
use crate::orchestrator::tests::request;
use crate::orchestrator::tests::world::{Master, World};
use crate::orchestrator::{StepAnswer, sweep_caches};
use crate::queue::{Claimed, NewJob};
use crate::store::cache_uses::UseRow;
use crate::store::testing::pipeline;

fn cached(command: &str, key: &str, write: WriteRule) -> StepRequest {
    let cache = Cache {
        name: "cargo".to_owned(),
        paths: vec!["~/.cargo/registry".to_owned(), "target".to_owned()],
        key: key.to_owned(),
        write,
    };
    StepRequest { caches: vec![cache], ..request(command) }
}

fn plain() -> StepRequest {
    cached("exit 0", "", WriteRule::Protected)
}

struct Site {
    world: World,
    pipeline: Pipeline,
}

impl Site {
    async fn new() -> Self {
        let pipeline = pipeline("site", "web");
        Self { world: World::new(pipeline.clone()).await, pipeline }
    }

    async fn claim(&self, change: impl FnOnce(&mut NewJob)) -> Claimed {
        self.world.claim_with(&self.pipeline, change).await
    }

    /// A job with one step that names the cache; what was noted of it.
    async fn job(&self, request: StepRequest, change: impl FnOnce(&mut NewJob)) -> UseRow {
        let claimed = self.claim(change).await;
        let job = claimed.job.id;
        let master = self.world.master(claimed).await;
        self.step(&master, request).await;
        let uses = self.world.test.store.read(move |view| cache_uses::of_job(view, job)).await.unwrap();
        self.finish(master).await;
        uses.into_iter().next().unwrap()
    }

    async fn step(&self, master: &Master, request: StepRequest) -> StepAnswer {
        master.run("/run#0", request).await.unwrap()
    }

    async fn finish(&self, master: Master) {
        self.world.executor.end_coordinator_of(master.job.row.id).await;
        master.ended().await;
    }

    async fn rows(&self) -> Vec<CacheRow> {
        self.world.test.store.read(caches::by_use).await.unwrap()
    }
}

fn of_pull_request(job: &mut NewJob) {
    job.pull_request = Some(7);
    job.pr_base = Some("main".to_owned());
}

fn on_branch(job: &mut NewJob) {
    job.revision.branch = "feature/x".to_owned();
}

#[tokio::test]
async fn what_one_job_stores_the_next_one_finds() {
    let site = Site::new().await;
    site.world.executor.cache_holds("content");
    let first = site.job(plain(), |_| ()).await;
    assert_eq!((first.found, first.saved, first.saved_bytes), (Found::Miss, Some(Saved::Stored), 7));
    let second = site.job(plain(), |_| ()).await;
    assert_eq!((second.found, second.saved), (Found::Hit, Some(Saved::Unchanged)));
    assert_eq!((second.found_note.as_str(), second.found_bytes), ("site#1, protected branches", 7));
    site.world.executor.cache_holds("other content");
    assert_eq!(site.job(plain(), |_| ()).await.saved, Some(Saved::Stored));
    assert_eq!(site.rows().await.len(), 1);
}

#[tokio::test]
async fn a_pull_request_reads_what_protected_branches_wrote_and_never_writes_it() {
    let site = Site::new().await;
    site.world.executor.cache_holds("good");
    site.job(plain(), |_| ()).await;
    site.world.executor.cache_holds("evil");
    let before = site.rows().await;
    for change in [of_pull_request as fn(&mut NewJob), on_branch] {
        let used = site.job(plain(), change).await;
        assert_eq!((used.found, used.saved), (Found::Hit, Some(Saved::No)));
        assert!(used.saved_note.starts_with("only jobs of protected branches store it"), "{}", used.saved_note);
        let used = site.job(cached("exit 0", "", WriteRule::Always), change).await;
        assert_eq!((used.found, used.saved), (Found::Hit, Some(Saved::Stored)));
        let used = site.job(cached("exit 0", "", WriteRule::Always), change).await;
        assert_eq!(used.saved, Some(Saved::Unchanged), "its own content comes first");
    }
    let protected: Vec<CacheRow> = site.rows().await.into_iter().filter(|row| row.scope == "protected").collect();
    assert_eq!(protected[0].digest, before[0].digest);
    assert_eq!(site.job(plain(), |_| ()).await.found_note, "site#1, protected branches");
    assert_eq!(site.rows().await.len(), 3);
}

#[tokio::test]
async fn with_a_key_exactly_that_content_is_found_and_it_is_stored_once() {
    let site = Site::new().await;
    site.world.executor.cache_holds("content");
    let keyed = |key: &str| cached("exit 0", key, WriteRule::Protected);
    site.job(keyed("a"), |_| ()).await;
    assert_eq!(site.job(keyed("b"), |_| ()).await.found, Found::Miss);
    site.world.executor.cache_holds("changed");
    let used = site.job(keyed("a"), |_| ()).await;
    assert_eq!(
        (used.found, used.saved, used.saved_note.as_str()),
        (Found::Hit, Some(Saved::Unchanged), "this key is stored")
    );
    let mut other = keyed("a");
    other.caches[0].paths.pop();
    assert_eq!(site.job(other, |_| ()).await.found, Found::Miss, "content of other paths is of no use");
}

#[tokio::test]
async fn a_step_that_failed_stores_nothing() {
    let site = Site::new().await;
    site.world.executor.cache_holds("content");
    let used = site.job(cached("exit 1", "", WriteRule::Protected), |_| ()).await;
    assert_eq!((used.found, used.saved), (Found::Miss, None));
    assert!(site.rows().await.is_empty());
}

#[tokio::test]
async fn a_cache_that_cannot_be_stored_fails_no_step() {
    let site = Site::new().await;
    site.world.executor.cache_holds("refused");
    let used = site.job(plain(), |_| ()).await;
    assert_eq!((used.saved, used.saved_note.as_str()), (Some(Saved::No), "its paths are empty"));
}

#[tokio::test]
async fn lost_content_is_a_miss_and_forgotten() {
    let site = Site::new().await;
    site.world.executor.cache_holds("content");
    site.job(plain(), |_| ()).await;
    let digest = site.rows().await[0].digest.clone();
    site.world.executor.cache_remove(vec![digest]).await.unwrap();
    let used = site.job(plain(), |_| ()).await;
    assert_eq!((used.found, used.found_note.as_str()), (Found::Miss, "its content is not on this machine any more"));
    assert_eq!(used.saved, Some(Saved::Stored));
}

#[tokio::test]
async fn a_step_is_started_with_its_directories_and_says_what_it_found() {
    let site = Site::new().await;
    site.world.executor.cache_holds("content");
    site.job(plain(), |_| ()).await;
    let claimed = site.claim(|_| ()).await;
    let master = site.world.master(claimed).await;
    site.step(&master, cached("exit 00", "", WriteRule::Protected)).await;
    let spec = site.world.executor.spec("exit 00");
    let mounts: Vec<_> = spec.caches.iter().map(|mount| (mount.number, mount.to.as_str())).collect();
    assert_eq!(mounts, [(0, "/root/.cargo/registry")]);
    let note = spec.notes.iter().find(|note| note.contains("cache")).unwrap();
    assert!(note.starts_with("danube: cache cargo: restored 7 bytes of site#1, protected branches in 0."), "{note}");
    site.finish(master).await;
}

#[tokio::test]
async fn a_master_that_dies_while_a_cache_is_stored_stores_it_again() {
    let site = Site::new().await;
    site.world.executor.cache_holds("content");
    let claimed = site.claim(|_| ()).await;
    let job = claimed.job.id;
    let master = site.world.master(claimed).await;
    site.world.executor.fail("cache_save", 1000);
    {
        let step = master.run("/run#0", plain());
        tokio::pin!(step);
        tokio::select! {
            _ = &mut step => panic!("the cache is not stored yet"),
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
    master.stop().await;
    site.world.executor.fail("cache_save", 0);
    let master = site.world.again().await;
    site.step(&master, plain()).await;
    let uses = site.world.test.store.read(move |view| cache_uses::of_job(view, job)).await.unwrap();
    assert_eq!((uses.len(), uses[0].found, uses[0].saved), (1, Found::Miss, Some(Saved::Stored)));
    site.finish(master).await;
}

#[tokio::test]
async fn content_without_a_name_is_swept_and_other_content_is_not() {
    let site = Site::new().await;
    site.world.executor.cache_holds("content");
    site.job(plain(), |_| ()).await;
    let engine = site.world.idle_engine();
    sweep_caches(&engine).await.unwrap();
    assert_eq!(site.world.executor.cache_list().await.unwrap().len(), 1);
    let pipeline = site.world.test.pipeline_id("site").await;
    let deleted = site
        .world
        .test
        .store
        .write("test", Durability::Progress, move |tx| caches::delete(tx, pipeline, Some("cargo"), None));
    assert_eq!(deleted.await.unwrap(), 1);
    sweep_caches(&engine).await.unwrap();
    assert!(site.world.executor.cache_list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_cache_that_is_being_stored_holds_up_neither_the_sweep_nor_another_job() {
    let site = Site::new().await;
    let claimed = site.claim(|_| ()).await;
    let master = site.world.master(claimed).await;
    let engine = &master.job.engine;
    let long = engine.cache_gate.store().await;
    site.world.executor.cache_holds("content");
    let soon = Duration::from_secs(10);
    tokio::time::timeout(soon, sweep_caches(engine)).await.unwrap().unwrap();
    tokio::time::timeout(soon, site.step(&master, plain())).await.unwrap();
    drop(long);
    sweep_caches(engine).await.unwrap();
    assert_eq!(site.world.executor.cache_list().await.unwrap().len(), 1);
    site.finish(master).await;
}

#[tokio::test]
async fn only_the_row_and_the_configuration_say_whose_content_it_is() {
    let site = Site::new().await;
    let claimed = site.claim(|_| ()).await;
    let scope = |change: &dyn Fn(&mut JobRow), branches: &[&str]| {
        let mut job = claimed.job.clone();
        change(&mut job);
        let protected_branches = branches.iter().map(|b| (*b).to_owned()).collect();
        scope_of(&job, &Pipeline { protected_branches, ..site.pipeline.clone() })
    };
    assert_eq!(usual_branches(), ["main", "master"]);
    assert_eq!(scope(&|_| (), &["main"]), Scope::Protected);
    assert_eq!(scope(&|_| (), &[]), Scope::Branch("main".to_owned()));
    assert_eq!(scope(&|job| job.branch = "release/1".to_owned(), &["release/*"]), Scope::Protected);
    assert_eq!(
        scope(&|job| job.branch = "release/a/b".to_owned(), &["release/*"]),
        Scope::Branch("release/a/b".to_owned())
    );
    // A pull request from a branch that is called like a protected one.
    assert_eq!(scope(&|job| job.pull_request = Some(3), &["**"]), Scope::PullRequest(3));
    assert_eq!(scope(&|job| job.fork = true, &["**"]), Scope::Branch("main".to_owned()));
    assert_eq!(scope(&|job| job.tag = Some("v1".to_owned()), &["**"]), Scope::Tag("v1".to_owned()));
}

#[test]
fn caches_that_nobody_means_are_refused() {
    let refused = |change: fn(&mut Cache)| {
        let mut request = plain();
        change(&mut request.caches[0]);
        check(&request).unwrap_err().to_string()
    };
    check(&plain()).unwrap();
    assert!(refused(|c| c.name = "../x".to_owned()).contains("letters, digits"));
    assert!(refused(|c| c.key = "a\nb".to_owned()).contains("control characters"));
    assert!(refused(|c| c.paths.clear()).contains("0 paths"));
    assert!(refused(|c| c.paths = vec!["a".to_owned(); 2]).contains("twice in one"));
    assert!(refused(|c| c.paths = vec!["/etc/ssl".to_owned()]).contains("needs what lies there"));
    let mut request = plain();
    request.caches.push(request.caches[0].clone());
    assert!(check(&request).unwrap_err().to_string().contains("twice"));
    request.env.insert("HOME".to_owned(), crate::orchestrator::Value::Text("/workspace".to_owned()));
    assert_eq!(home_of(&request), "/workspace");
}
