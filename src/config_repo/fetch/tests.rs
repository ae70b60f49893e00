//! Fetches from real repositories.
use git2::Signature;
use tempfile::TempDir;

use super::*;

/// A repository on this machine, and a data directory.
pub(in crate::config_repo) struct Remote {
    pub(in crate::config_repo) origin: TempDir,
    pub(in crate::config_repo) data: TempDir,
}

impl Remote {
    pub(in crate::config_repo) fn new() -> Self {
        let remote = Self { origin: tempfile::tempdir().unwrap(), data: tempfile::tempdir().unwrap() };
        Repository::init_bare(remote.origin.path()).unwrap();
        remote
    }

    /// Makes a commit of exactly these files on a branch.
    pub(in crate::config_repo) fn commit(&self, branch: &str, files: &[(&str, &str)]) -> Oid {
        let repository = Repository::open_bare(self.origin.path()).unwrap();
        let mut index = git2::Index::new().unwrap();
        for (path, text) in files {
            let id = repository.blob(text.as_bytes()).unwrap();
            let time = git2::IndexTime::new(0, 0);
            let path = path.as_bytes().to_vec();
            let entry = git2::IndexEntry {
                ctime: time,
                mtime: time,
                dev: 0,
                ino: 0,
                mode: 0o100_644,
                uid: 0,
                gid: 0,
                file_size: 0,
                id,
                flags: 0,
                flags_extended: 0,
                path,
            };
            index.add(&entry).unwrap();
        }
        let tree = repository.find_tree(index.write_tree_to(&repository).unwrap()).unwrap();
        let who = Signature::new("ana", "ana@example.com", &git2::Time::new(0, 0)).unwrap();
        let name = format!("refs/heads/{branch}");
        let parent = repository.find_reference(&name).ok().map(|found| found.peel_to_commit().unwrap());
        repository.commit(Some(&name), &who, &who, "x", &tree, &parent.iter().collect::<Vec<_>>()).unwrap()
    }

    pub(in crate::config_repo) fn config(&self) -> ConfigRepo {
        let url = format!("file://{}", self.origin.path().display());
        ConfigRepo { url, branch: "main".into(), sync_interval: Duration::from_secs(60) }
    }

    fn mirror(&self) -> Mirror {
        Mirror::new(self.data.path(), &self.config()).unwrap()
    }
}

fn never() -> CancellationToken {
    CancellationToken::new()
}

#[tokio::test]
async fn the_newest_commit_is_fetched_and_read() {
    let remote = Remote::new();
    let mirror = remote.mirror();
    let first = remote.commit("main", &[("config.yaml", "one"), ("pipelines/a.yaml", "a")]);
    assert_eq!(mirror.fetch(&never()).await.unwrap(), first);
    let second = remote.commit("main", &[("config.yaml", "two")]);
    assert_eq!(mirror.fetch(&never()).await.unwrap(), second);
    let files = mirror.read(second).await.unwrap();
    assert_eq!((files.list.len(), files.list[0].text.as_str()), (1, "two"));
    assert_eq!(mirror.read(first).await.unwrap().list.len(), 2);
}

#[tokio::test]
async fn a_rewritten_branch_and_a_plain_path_are_fetched_too() {
    let remote = Remote::new();
    let mut config = remote.config();
    config.url = remote.origin.path().display().to_string();
    let mirror = Mirror::new(remote.data.path(), &config).unwrap();
    remote.commit("main", &[("config.yaml", "one")]);
    mirror.fetch(&never()).await.unwrap();
    Repository::open_bare(remote.origin.path()).unwrap().find_reference("refs/heads/main").unwrap().delete().unwrap();
    let other = remote.commit("main", &[("config.yaml", "other")]);
    assert_eq!(mirror.fetch(&never()).await.unwrap(), other);
}

#[tokio::test]
async fn what_cannot_be_fetched_is_told_apart() {
    let remote = Remote::new();
    let mirror = remote.mirror();
    let url = remote.config().url;
    let empty = mirror.fetch(&never()).await.unwrap_err();
    assert_eq!(
        empty.to_string(),
        format!("the config repo {url} is empty: push a first commit, for example of what `danube init` writes")
    );
    remote.commit("trunk", &[]);
    remote.commit("old", &[]);
    let missing = mirror.fetch(&never()).await.unwrap_err();
    assert_eq!(
        missing.to_string(),
        format!(
            "the config repo {url} has no branch 'main'; it has: old, trunk. Set config_repo.branch, or push the branch"
        )
    );
    std::fs::remove_dir_all(remote.origin.path()).unwrap();
    let gone = mirror.fetch(&never()).await.unwrap_err();
    assert!(gone.is_unreachable());
    let path = remote.origin.path().display();
    assert_eq!(
        gone.to_string(),
        format!(
            "the config repo {url} cannot be reached: '{path}' does not appear to be a git repository. Check the address, \
             the network and the deploy key; the configuration in force stays"
        )
    );
    std::fs::create_dir_all(remote.origin.path()).unwrap();
}

#[tokio::test]
async fn a_damaged_copy_is_made_anew() {
    let remote = Remote::new();
    let mirror = remote.mirror();
    let commit = remote.commit("main", &[("config.yaml", "one")]);
    mirror.fetch(&never()).await.unwrap();
    std::fs::remove_file(remote.data.path().join("repos/config.git/HEAD")).unwrap();
    assert_eq!(mirror.fetch(&never()).await.unwrap(), commit);
}

#[test]
fn a_hostile_address_is_refused() {
    let mut config = Remote::new().config();
    config.url = "ext::sh -c id".into();
    let refused = Mirror::new(Path::new("/nonexistent"), &config).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "config_repo.url 'ext::sh -c id' names a transport ('ext::') that may run commands"
    );
}
