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

#[tokio::test]
async fn a_commit_is_found_by_its_id_and_by_nothing_else() {
    let source = Source::new();
    let one = source.commit("main", "One", &[("a", "1")]);
    let (_dir, mirror) = fetched(&source).await;
    let objects = mirror.objects();
    assert_eq!(objects.revision(&one, "main").await.unwrap().commit, one);
    assert_eq!(objects.revision(&one[..8], "main").await.unwrap().commit, one);
    let upper = one.to_uppercase();
    for wrong in ["main", "HEAD", &one[..6], &"9".repeat(40), "-x", &upper, ""] {
        let result = objects.revision(wrong, "main").await;
        assert!(matches!(result, Err(MirrorError::NoCommit { .. })) || wrong == one, "{wrong}");
    }
}

#[tokio::test]
async fn a_file_is_read_within_its_limit() {
    let source = Source::new();
    let one = source.commit("main", "One", &[("dir/danubefile.py", "print(1)")]);
    let (_dir, mirror) = fetched(&source).await;
    let objects = mirror.objects();
    assert_eq!(objects.read_file(&one, "dir/danubefile.py", 8).await.unwrap(), b"print(1)");
    let result = objects.read_file(&one, "dir/danubefile.py", 7).await;
    assert!(matches!(result, Err(MirrorError::TooLarge { limit: 7, .. })));
    for path in ["dir", "none.py", "../dir/danubefile.py", "/dir/danubefile.py", ""] {
        assert!(matches!(objects.read_file(&one, path, 100).await, Err(MirrorError::NoFile { .. })), "{path}");
    }
}

#[tokio::test]
async fn histories_meet_at_their_merge_base() {
    let source = Source::new();
    let base = source.commit("main", "Base", &[("a", "1")]);
    source.force("side", &base);
    let main = source.commit("main", "Main", &[("a", "2")]);
    let side = source.commit("side", "Side", &[("a", "3")]);
    let alone = source.commit("alone", "Alone", &[("a", "4")]);
    let (_dir, mirror) = fetched(&source).await;
    assert_eq!(mirror.objects().merge_base(&main, &side).await.unwrap(), Some(base.clone()));
    assert_eq!(mirror.objects().merge_base(&main, &alone).await.unwrap(), None);
    assert_eq!(mirror.objects().branches_with(&base).await.unwrap(), ["main", "side"]);
    assert_eq!(mirror.objects().branches_with(&side).await.unwrap(), ["side"]);
}

#[tokio::test]
async fn a_pack_holds_one_commit_that_can_be_checked_out_elsewhere() {
    let source = Source::new();
    let old = source.commit("main", "Old", &[("gone.txt", "old")]);
    let new = source.commit("main", "New", &[("dir/kept.txt", "new")]);
    let (dir, mirror) = fetched(&source).await;
    let sealed = mirror.objects().pack(&new, dir.path(), 1 << 20).await.unwrap();
    assert_eq!(sealed.len, sealed.file.metadata().unwrap().len());
    let elsewhere = tempfile::tempdir().unwrap();
    let repo = git2::Repository::init_bare(elsewhere.path()).unwrap();
    let odb = repo.odb().unwrap();
    let mut writer = odb.packwriter().unwrap();
    std::io::copy(&mut &sealed.file, &mut writer).unwrap();
    writer.commit().unwrap();
    let commit = repo.find_commit(git2::Oid::from_str(&new).unwrap()).unwrap();
    let kept = commit.tree().unwrap().get_path(std::path::Path::new("dir/kept.txt")).unwrap();
    assert_eq!(repo.find_blob(kept.id()).unwrap().content(), b"new");
    assert!(repo.find_commit(git2::Oid::from_str(&old).unwrap()).is_err());

    let result = mirror.objects().pack(&new, dir.path(), 40).await;
    assert!(matches!(result, Err(MirrorError::TooLarge { .. })));
}
