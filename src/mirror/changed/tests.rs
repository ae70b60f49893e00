use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::mirror::testing::Source;
use crate::mirror::{Mirror, MirrorError, Repos};
use crate::platform::git::Access;

async fn fetched(source: &Source) -> (tempfile::TempDir, Arc<Mirror>) {
    let dir = tempfile::tempdir().unwrap();
    let mirror = Repos::open(dir.path()).unwrap().mirror(&source.url()).unwrap();
    mirror.fetch(&Access::Open, &CancellationToken::new()).await.unwrap();
    (dir, mirror)
}

fn globs(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|t| (*t).to_owned()).collect()
}

#[tokio::test]
async fn changed_looks_at_matching_files_alone() {
    let source = Source::new();
    let one = source.commit("main", "One", &[("src/a.rs", "1"), ("docs/a.md", "1"), ("old.txt", "1")]);
    let two = source.commit("main", "Two", &[("src/a.rs", "2"), ("docs/a.md", "1"), ("docs/x/new.md", "1")]);
    let (_dir, mirror) = fetched(&source).await;
    let objects = mirror.objects();
    for (patterns, expected) in [
        (globs(&["src/**"]), true),
        (globs(&["docs/*"]), false),
        (globs(&["docs/**"]), true),
        (globs(&["old.txt"]), true),
        (globs(&["*.rs"]), false),
        (globs(&["**/*.rs"]), true),
        (globs(&["none/**", "old.*"]), true),
        (globs(&[]), false),
    ] {
        assert_eq!(objects.changed(Some(&one), &two, &patterns).await.unwrap(), expected, "{patterns:?}");
    }
    assert!(!objects.changed(Some(&two), &two, &globs(&["**"])).await.unwrap());
    assert!(objects.changed(None, &two, &globs(&["none"])).await.unwrap());
    assert!(objects.changed(Some(&"9".repeat(40)), &two, &globs(&["none"])).await.unwrap());
    let error = objects.changed(Some(&one), &two, &globs(&["src/[a"])).await.unwrap_err();
    assert!(matches!(error, MirrorError::BadGlob { .. }), "{error}");
}

#[tokio::test]
async fn a_hash_follows_names_and_content_of_matching_files_alone() {
    let source = Source::new();
    let one = source.commit("main", "One", &[("lock/a", "1"), ("lock/b", "2"), ("x", "1")]);
    let same = source.commit("main", "Same", &[("lock/a", "1"), ("lock/b", "2"), ("x", "2")]);
    let swapped = source.commit("main", "Swapped", &[("lock/a", "2"), ("lock/b", "1")]);
    let renamed = source.commit("main", "Renamed", &[("lock/a", "1"), ("lock/c", "2")]);
    let (_dir, mirror) = fetched(&source).await;
    let lock = globs(&["lock/*"]);
    let first = mirror.objects().hash(&one, &lock).await.unwrap();
    assert_eq!(first.len(), 64);
    assert_eq!(first, mirror.objects().hash(&same, &lock).await.unwrap());
    assert_ne!(first, mirror.objects().hash(&swapped, &lock).await.unwrap());
    assert_ne!(first, mirror.objects().hash(&renamed, &lock).await.unwrap());
    assert!(matches!(mirror.objects().hash(&one, &globs(&["[x"])).await, Err(MirrorError::BadGlob { .. })));
}
