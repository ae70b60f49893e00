use std::sync::Arc;

use super::*;
use crate::mirror::Repos;
use crate::mirror::testing::Source;

const NOTHING: &[(&str, &str)] = &[("a.txt", "a")];

fn never() -> CancellationToken {
    CancellationToken::new()
}

fn mirror(url: &str) -> (tempfile::TempDir, Arc<Mirror>) {
    let dir = tempfile::tempdir().unwrap();
    let mirror = Repos::open(dir.path()).unwrap().mirror(url).unwrap();
    (dir, mirror)
}

#[tokio::test]
async fn a_fetch_brings_branches_and_tags_and_drops_what_is_gone() {
    let source = Source::new();
    let one = source.commit("main", "One\n\nBody", NOTHING);
    source.commit("feature/x", "X", NOTHING);
    source.tag("v1", &one);
    let (_dir, mirror) = mirror(&source.url());
    mirror.fetch(&Access::Open, &never()).await.unwrap();
    assert_eq!(mirror.objects().branches().await.unwrap(), ["feature/x", "main"]);
    let main = mirror.objects().resolve("main").await.unwrap();
    assert_eq!((main.commit.as_str(), main.message.as_str()), (one.as_str(), "One\n\nBody"));
    assert_eq!(main.author, "Ada <ada@example.com>");
    let tag = mirror.objects().find_tag("v1").await.unwrap().unwrap();
    assert_eq!((tag.commit, tag.tag.as_deref()), (one, Some("v1")));

    source.delete("refs/heads/feature/x");
    source.delete("refs/tags/v1");
    mirror.fetch(&Access::Open, &never()).await.unwrap();
    assert_eq!(mirror.objects().branches().await.unwrap(), ["main"]);
    assert_eq!(mirror.objects().find_tag("v1").await.unwrap(), None);
    assert_eq!(mirror.default_branch(&Access::Open, &never()).await.unwrap().as_deref(), Some("main"));
}

#[tokio::test]
async fn a_branch_moved_by_force_is_followed() {
    let source = Source::new();
    let one = source.commit("main", "One", NOTHING);
    let two = source.commit("main", "Two", &[("a.txt", "b")]);
    let (_dir, mirror) = mirror(&source.path().display().to_string());
    mirror.fetch(&Access::Open, &never()).await.unwrap();
    assert_eq!(mirror.objects().resolve("main").await.unwrap().commit, two);
    source.force("main", &one);
    mirror.fetch(&Access::Open, &never()).await.unwrap();
    assert_eq!(mirror.objects().resolve("main").await.unwrap().commit, one);
}

#[tokio::test]
async fn who_asks_while_a_fetch_runs_shares_the_next() {
    let source = Source::new();
    source.commit("main", "One", NOTHING);
    let (_dir, mirror) = mirror(&source.url());
    let stop = never();
    let asks = (0..10).map(|_| mirror.fetch(&Access::Open, &stop));
    for result in futures::future::join_all(asks).await {
        result.unwrap();
    }
    // Polled one after the other: the first one runs, and the nine that came meanwhile share one more.
    assert_eq!(mirror.fetches(), 2);
}

#[tokio::test]
async fn an_unreachable_repository_is_a_sentence_and_the_copy_stays() {
    let source = Source::new();
    let one = source.commit("main", "One", NOTHING);
    let (_dir, mirror) = mirror(&source.url());
    mirror.fetch(&Access::Open, &never()).await.unwrap();
    std::fs::remove_dir_all(source.path()).unwrap();
    let error = mirror.fetch(&Access::Open, &never()).await.unwrap_err();
    assert!(error.is_retryable());
    assert!(error.to_string().contains("could not be fetched"), "{error}");
    assert_eq!(mirror.objects().resolve("main").await.unwrap().commit, one);
}

#[tokio::test]
async fn a_killed_fetch_leaves_a_mirror_that_fetches_again() {
    let source = Source::new();
    source.commit("main", "One", NOTHING);
    let (_dir, mirror) = mirror(&source.url());
    let stop = never();
    stop.cancel();
    assert!(matches!(mirror.fetch(&Access::Open, &stop).await, Err(MirrorError::Stopped)));
    // A fetch whose caller goes away is killed too.
    let stop = never();
    let dropped = mirror.fetch(&Access::Open, &stop);
    assert!(futures::FutureExt::now_or_never(dropped).is_none());
    mirror.fetch(&Access::Open, &never()).await.unwrap();
    assert_eq!(mirror.objects().branches().await.unwrap(), ["main"]);
}

#[tokio::test]
async fn a_fetch_from_a_server_that_says_nothing_ends_with_the_stop_signal() {
    // It accepts the connection and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_dir, mirror) = mirror(&format!("http://{}/web/shop.git", silent.local_addr().unwrap()));
    let stop = never();
    let stopper = async {
        let _connection = silent.accept().await.unwrap();
        stop.cancel();
        _connection
    };
    let (result, _open) = tokio::join!(mirror.fetch(&Access::Open, &stop), stopper);
    assert!(matches!(result, Err(MirrorError::Stopped)), "{result:?}");
}

#[tokio::test]
async fn a_damaged_or_deleted_mirror_is_made_anew() {
    let source = Source::new();
    source.commit("main", "One", NOTHING);
    let (_dir, mirror) = mirror(&source.url());
    mirror.fetch(&Access::Open, &never()).await.unwrap();
    std::fs::write(mirror.objects().path().join("HEAD"), b"").unwrap();
    mirror.fetch(&Access::Open, &never()).await.unwrap();
    std::fs::remove_dir_all(mirror.objects().path()).unwrap();
    mirror.fetch(&Access::Open, &never()).await.unwrap();
    assert_eq!(mirror.objects().branches().await.unwrap(), ["main"]);
}

#[tokio::test]
async fn hostile_addresses_and_branches_never_reach_git() {
    let dir = tempfile::tempdir().unwrap();
    let repos = Repos::open(dir.path()).unwrap();
    for url in
        ["--upload-pack=touch x", "-oProxyCommand=x", "ext::sh -c id", "ssh://-oProxyCommand=x/a", "file:///a/../b", ""]
    {
        assert!(matches!(repos.mirror(url), Err(MirrorError::BadUrl { .. })), "{url}");
    }
    assert_eq!(crate::mirror::testing::count(dir.path()), 0);
    let source = Source::new();
    source.commit("main", "One", NOTHING);
    let mirror = repos.mirror(&source.url()).unwrap();
    mirror.fetch(&Access::Open, &never()).await.unwrap();
    for branch in ["-x", "--all", "../../HEAD", "main~1", "main:a.txt", "@{u}", "HEAD", "", "a\0b", "*"] {
        assert!(matches!(mirror.objects().resolve(branch).await, Err(MirrorError::NoBranch { .. })), "{branch:?}");
    }
    let error = mirror.objects().resolve("mian").await.unwrap_err();
    assert!(error.to_string().contains("did you mean 'main'"), "{error}");
}
