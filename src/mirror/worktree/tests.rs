use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use super::*;
use crate::mirror::testing::Source;

const LIMITS: TarLimits = TarLimits { bytes: 1 << 20, members: 1000 };

/// Unpacks with the system's tar, the judge of the format.
async fn unpacked(tree: &WorkTree) -> (tempfile::TempDir, TreeTar) {
    let dir = tempfile::tempdir().unwrap();
    let made = tree.tar(dir.path(), LIMITS).await.unwrap();
    let out = tempfile::tempdir().unwrap();
    let input = made.tar.file.try_clone().unwrap();
    let status = Command::new("tar").args(["-x", "-C"]).arg(out.path()).stdin(input).status().unwrap();
    assert!(status.success());
    (out, made)
}

fn reasons(made: &TreeTar) -> BTreeMap<&str, &str> {
    made.skipped.iter().map(|s| (s.path.as_str(), s.reason)).collect()
}

fn checkout() -> (Source, String) {
    let source = Source::new();
    let commit = source.commit("main", "One", &[("src/a.txt", "one"), (".gitignore", "/target\n"), ("deleted", "x")]);
    let repo = git2::Repository::open(source.path()).unwrap();
    repo.checkout_head(Some(git2::build::CheckoutBuilder::new().force())).unwrap();
    (source, commit)
}

#[tokio::test]
async fn a_checkout_is_taken_as_it_is_on_disk() {
    let (source, commit) = checkout();
    let root = source.path();
    let clean = WorkTree::open(&root).unwrap().head().await.unwrap();
    assert!(!clean.dirty);
    assert_eq!(clean.revision.map(|r| (r.commit, r.branch)), Some((commit, "main".to_owned())));

    fs::write(root.join("src/a.txt"), "changed").unwrap();
    fs::remove_file(root.join("deleted")).unwrap();
    fs::create_dir_all(root.join("target")).unwrap();
    fs::create_dir_all(root.join(".danube")).unwrap();
    fs::write(root.join("target/big"), "ignored").unwrap();
    fs::write(root.join(".danube/state"), "own").unwrap();
    fs::write(root.join("new.sh"), "#!/bin/sh").unwrap();
    fs::set_permissions(root.join("new.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let tree = WorkTree::open(&root.join("src")).unwrap();
    assert!(tree.head().await.unwrap().dirty);
    let (out, made) = unpacked(&tree).await;
    assert_eq!(fs::read_to_string(out.path().join("src/a.txt")).unwrap(), "changed");
    assert_eq!(fs::metadata(out.path().join("new.sh")).unwrap().permissions().mode() & 0o777, 0o755);
    for left_out in ["target", ".danube", ".git", "deleted"] {
        assert!(!out.path().join(left_out).exists(), "{left_out}");
    }
    assert_eq!(reasons(&made), BTreeMap::from([("deleted", "deleted")]));
    assert_eq!(made.members, 3);
}

#[tokio::test]
async fn danubes_own_folder_makes_nothing_dirty() {
    let (source, _) = checkout();
    fs::create_dir_all(source.path().join(".danube")).unwrap();
    fs::write(source.path().join(".danube/state"), "own").unwrap();
    assert!(!WorkTree::open(&source.path()).unwrap().head().await.unwrap().dirty);
}

#[tokio::test]
async fn links_are_kept_as_links_and_never_followed() {
    let (source, _) = checkout();
    let root = source.path();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("a.txt"), "secret").unwrap();
    symlink(outside.path().join("a.txt"), root.join("link")).unwrap();
    symlink(outside.path(), root.join("linkdir")).unwrap();
    // A tracked file whose folder became a link out of the tree.
    fs::remove_dir_all(root.join("src")).unwrap();
    symlink(outside.path(), root.join("src")).unwrap();
    let (out, made) = unpacked(&WorkTree::open(&root).unwrap()).await;
    assert_eq!(fs::read_link(out.path().join("link")).unwrap(), outside.path().join("a.txt"));
    assert!(fs::symlink_metadata(out.path().join("linkdir")).unwrap().is_symlink());
    assert_eq!(reasons(&made)["src/a.txt"], "behind a link");
}

#[tokio::test]
async fn a_folder_without_git_is_taken_whole_but_for_what_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let long = format!("{}/{}", "d".repeat(90), "f".repeat(200));
    fs::create_dir_all(dir.path().join("d".repeat(90))).unwrap();
    fs::create_dir_all(dir.path().join("empty")).unwrap();
    fs::write(dir.path().join(&long), "x".repeat(513)).unwrap();
    symlink("t".repeat(150), dir.path().join("far")).unwrap();
    let fifo = Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap();
    assert!(fifo.success());
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let tree = WorkTree::open(dir.path()).unwrap();
    assert_eq!(tree.head().await.unwrap(), Head { revision: None, dirty: false, origin: None });
    let (out, made) = unpacked(&tree).await;
    assert_eq!(fs::read(out.path().join(&long)).unwrap().len(), 513);
    assert!(out.path().join("empty").is_dir());
    assert_eq!(fs::read_link(out.path().join("far")).unwrap().as_os_str().len(), 150);
    assert_eq!(reasons(&made), BTreeMap::from([("pipe", "a pipe"), ("socket", "a socket")]));
}

#[tokio::test]
async fn a_folder_above_its_limits_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..5 {
        fs::write(dir.path().join(n.to_string()), [0; 2000]).unwrap();
    }
    let tree = WorkTree::open(dir.path()).unwrap();
    for limits in [TarLimits { bytes: 6000, members: 100 }, TarLimits { bytes: 1 << 20, members: 4 }] {
        let result = tree.tar(dir.path(), limits).await;
        assert!(matches!(result, Err(MirrorError::TooLarge { .. })), "{result:?}");
    }
    assert!(WorkTree::open(&dir.path().join("0")).is_err());
    assert!(WorkTree::open(&dir.path().join("none")).is_err());
}
