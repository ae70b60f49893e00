//! Commits come into force, or do not.
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config_repo::fetch::tests::Remote;
use crate::platform::{ManualClock, SeededIds};
use crate::store::pipelines;

const CONFIG: &str = "apiVersion: danube.dev/v1\nkind: Config\nmetadata: {name: global}\nspec: {}\n";
const TEAM: &str = "apiVersion: danube.dev/v1\nkind: Team\nmetadata: {name: platform}\nspec: {}\n";

fn pipeline(name: &str, team: &str) -> String {
    format!(
        "apiVersion: danube.dev/v1\nkind: Pipeline\nmetadata: {{name: {name}, team: {team}}}\nspec: {{repository: /srv/git/x}}\n"
    )
}

struct World {
    remote: Remote,
    store: Store,
    clock: Arc<ManualClock>,
    sync: Sync,
    stop: CancellationToken,
}

impl World {
    fn new() -> Self {
        let remote = Remote::new();
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let store = Store::open(remote.data.path(), clock.clone(), Arc::new(SeededIds::new(1))).unwrap();
        let mirror = Mirror::new(remote.data.path(), &remote.config()).unwrap();
        let sync = Sync::new(mirror, Duration::from_secs(3600));
        Self { remote, store, clock, sync, stop: CancellationToken::new() }
    }

    fn push(&self, pipelines: &str) -> String {
        let files = [("config.yaml", CONFIG), ("teams.yaml", TEAM), ("pipelines/a.yaml", pipelines)];
        self.remote.commit("main", &files).to_string()
    }

    async fn look(&self) -> Result<Looked, ConfigRepoError> {
        self.sync.once(&self.store, &self.stop).await
    }

    async fn pipelines(&self) -> Vec<String> {
        let names =
            |view: &crate::store::View<'_>| Ok(pipelines::active(view)?.into_iter().map(|row| row.name).collect());
        self.store.read(names).await.unwrap()
    }
}

#[tokio::test]
async fn a_good_commit_comes_into_force_once() {
    let world = World::new();
    let sha = world.push(&pipeline("web", "platform"));
    let Looked::Applied(commit, changes) = world.look().await.unwrap() else { panic!("not applied") };
    assert_eq!((commit.to_string(), changes.pipelines), (sha.clone(), vec!["+web".to_owned()]));
    assert_eq!(world.pipelines().await, ["web"]);
    assert!(matches!(world.look().await.unwrap(), Looked::Same(_)));
    let status = world.sync.status();
    assert_eq!(status.in_force, Some(InForce { commit: sha, applied_at: Timestamp::UNIX_EPOCH }));
    assert!(status.issues.is_empty() && status.error.is_none());
}

#[tokio::test]
async fn a_commit_with_a_mistake_leaves_the_last_good_one_in_force_until_it_is_mended() {
    let world = World::new();
    let good = world.push(&pipeline("web", "platform"));
    world.look().await.unwrap();
    let bad = world.push(&format!("{}---\n{}", pipeline("new", "platform"), pipeline("other", "nobody")));
    let Looked::Refused(_, issues) = world.look().await.unwrap() else { panic!("not refused") };
    assert_eq!(issues[0].to_string(), "pipelines/a.yaml:8:31: error: unknown team 'nobody'");
    assert!(matches!(world.look().await.unwrap(), Looked::Same(_)));
    assert_eq!(world.pipelines().await, ["web"]);
    let status = world.sync.status();
    assert_eq!((status.in_force.unwrap().commit, status.last_seen), (good.clone(), Some(bad.clone())));
    assert_eq!(status.issues, issues);

    let again = Sync::new(Mirror::new(world.remote.data.path(), &world.remote.config()).unwrap(), Duration::MAX);
    again.load(&world.store).await.unwrap();
    assert_eq!((again.status().last_seen, again.status().issues), (Some(bad), issues));

    let mended = world.push(&pipeline("new", "platform"));
    assert!(matches!(world.look().await.unwrap(), Looked::Applied(..)));
    assert_eq!(world.pipelines().await, ["new"]);
    assert_eq!(world.sync.status().in_force.unwrap().commit, mended);
    assert!(world.sync.status().issues.is_empty());
}

#[tokio::test]
async fn going_back_to_the_commit_in_force_clears_the_mistakes_of_the_other() {
    let world = World::new();
    let good = world.push(&pipeline("web", "platform"));
    world.look().await.unwrap();
    world.push("kind: Nothing\n");
    assert!(matches!(world.look().await.unwrap(), Looked::Refused(..)));
    let repository = git2::Repository::open_bare(world.remote.origin.path()).unwrap();
    repository.reference("refs/heads/main", Oid::from_str(&good).unwrap(), true, "back").unwrap();
    assert!(matches!(world.look().await.unwrap(), Looked::Applied(..)));
    assert!(world.sync.status().issues.is_empty());
    assert!(matches!(world.look().await.unwrap(), Looked::Same(_)));
}

#[tokio::test]
async fn an_unreachable_config_repo_changes_nothing_and_is_told_since_when() {
    let world = World::new();
    world.push(&pipeline("web", "platform"));
    world.look().await.unwrap();
    let hidden = world.remote.data.path().join("hidden");
    std::fs::rename(world.remote.origin.path(), &hidden).unwrap();
    world.clock.advance(Duration::from_secs(60));
    let since = world.store.clock().now();
    assert!(world.look().await.unwrap_err().is_unreachable());
    world.clock.advance(Duration::from_secs(60));
    assert!(world.look().await.is_err());
    let status = world.sync.status();
    assert_eq!((status.unreachable_since, status.last_attempt), (Some(since), Some(world.store.clock().now())));
    assert_eq!(status.last_success, Some(Timestamp::UNIX_EPOCH));
    assert!(status.error.unwrap().contains("cannot be reached"));
    assert_eq!(world.pipelines().await, ["web"]);
    std::fs::rename(&hidden, world.remote.origin.path()).unwrap();
    world.look().await.unwrap();
    assert_eq!(world.sync.status().unreachable_since, None);
}

#[tokio::test]
async fn the_loop_looks_when_woken_and_ends_when_told() {
    let world = Arc::new(World::new());
    world.push(&pipeline("web", "platform"));
    let running = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.sync.run(&world.store, world.stop.clone()).await }
    });
    let mut changes = world.store.changes();
    while world.pipelines().await != ["web"] {
        changes.changed().await.unwrap();
    }
    world.push(&pipeline("other", "platform"));
    world.sync.wake();
    while world.pipelines().await != ["other"] {
        changes.changed().await.unwrap();
    }
    world.stop.cancel();
    running.await.unwrap();
}
