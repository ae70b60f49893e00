use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::mirror::testing::Source;
use crate::mirror::{Comparison, Mirror, MirrorError, Repos};
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

#[tokio::test]
async fn a_moved_file_has_changed_at_its_old_and_its_new_place() {
    let source = Source::new();
    let text = "line\n".repeat(50);
    let one = source.commit("main", "One", &[("src/a.rs", &text), ("docs/x.md", "1")]);
    let two = source.commit("main", "Two", &[("lib/a.rs", &text), ("docs/x.md", "1")]);
    let (_dir, mirror) = fetched(&source).await;
    for (pattern, path) in [("src/**", Some("src/a.rs")), ("lib/**", Some("lib/a.rs")), ("docs/**", None)] {
        let expected = path.map_or(Comparison::Same, |path| Comparison::Differs { path: path.to_owned() });
        assert_eq!(mirror.objects().compare(Some(&one), &two, &globs(&[pattern])).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn two_stars_reach_any_depth_and_none() {
    let source = Source::new();
    let one = source.commit("main", "One", &[("a", "1")]);
    let two = source.commit("main", "Two", &[("a", "1"), ("top.py", "1"), ("x/y/z/deep.py", "1")]);
    let (_dir, mirror) = fetched(&source).await;
    for (pattern, expected) in [
        ("**/*.py", true),
        ("**/top.py", true),
        ("x/**", true),
        ("x/**/deep.py", true),
        ("x/y/z/**/deep.py", true),
        ("x/*.py", false),
        ("**", true),
        ("y/**", false),
        ("{a,b}", false),
    ] {
        assert_eq!(
            mirror.objects().changed(Some(&one), &two, &globs(&[pattern])).await.unwrap(),
            expected,
            "{pattern}"
        );
    }
}

#[tokio::test]
async fn a_base_that_was_pushed_away_is_compared_while_it_is_known() {
    let source = Source::new();
    source.commit("main", "One", &[("a", "1")]);
    let (_dir, mirror) = fetched(&source).await;
    let known = source.commit("main", "Green", &[("a", "2")]);
    mirror.fetch(&Access::Open, &CancellationToken::new()).await.unwrap();
    // The branch begins anew, with another history.
    source.delete("refs/heads/main");
    let forced = source.commit("main", "Forced", &[("a", "2"), ("b", "1")]);
    mirror.fetch(&Access::Open, &CancellationToken::new()).await.unwrap();
    let objects = mirror.objects();
    assert!(!objects.changed(Some(&known), &forced, &globs(&["a"])).await.unwrap());
    assert!(objects.changed(Some(&known), &forced, &globs(&["b"])).await.unwrap());
    assert_eq!(objects.merge_base(&known, &forced).await.unwrap(), None);
}

#[tokio::test]
async fn a_history_that_was_cut_off_has_no_base_and_counts_as_changed() {
    let source = Source::new();
    let one = source.commit("main", "One", &[("a", "1")]);
    let two = source.commit("main", "Two", &[("a", "1")]);
    let dir = tempfile::tempdir().unwrap();
    let shallow = dir.path().join("shallow.git");
    let cloned = std::process::Command::new("git")
        .args(["clone", "-q", "--bare", "--depth=1", &source.url()])
        .arg(&shallow)
        .output()
        .unwrap();
    assert!(cloned.status.success(), "{}", String::from_utf8_lossy(&cloned.stderr));
    let objects = crate::mirror::Objects::open(&shallow);
    assert_eq!(objects.compare(Some(&one), &two, &globs(&["none"])).await.unwrap(), Comparison::NoBase);
    assert!(!objects.changed(Some(&two), &two, &globs(&["**"])).await.unwrap());
}
