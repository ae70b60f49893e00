//! Real repositories for tests, written without the git program's configuration.
use std::path::{Path, PathBuf};

use git2::{Oid, Repository, Signature, Time};

/// A repository in a temporary folder, to fetch from.
pub(crate) struct Source {
    pub(crate) dir: tempfile::TempDir,
    repo: Repository,
}

impl Source {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = git2::RepositoryInitOptions::new();
        options.initial_head("main").external_template(false);
        let repo = Repository::init_opts(dir.path(), &options).unwrap();
        Self { dir, repo }
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.dir.path().display())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// Commits these files, and no others, on a branch.
    pub(crate) fn commit(&self, branch: &str, message: &str, files: &[(&str, &str)]) -> String {
        let mut index = git2::Index::new().unwrap();
        for (path, text) in files {
            let id = self.repo.blob(text.as_bytes()).unwrap();
            index.add(&entry(path, id, text.len())).unwrap();
        }
        let tree = self.repo.find_tree(index.write_tree_to(&self.repo).unwrap()).unwrap();
        let name = format!("refs/heads/{branch}");
        let parent = self.repo.find_reference(&name).ok().map(|r| r.peel_to_commit().unwrap());
        let person = Signature::new("Ada", "ada@example.com", &Time::new(1_700_000_000, 0)).unwrap();
        let parents: Vec<_> = parent.iter().collect();
        self.repo.commit(Some(&name), &person, &person, message, &tree, &parents).unwrap().to_string()
    }

    pub(crate) fn tag(&self, name: &str, commit: &str) {
        let object = self.repo.find_object(Oid::from_str(commit).unwrap(), None).unwrap();
        let person = Signature::new("Ada", "ada@example.com", &Time::new(1_700_000_000, 0)).unwrap();
        self.repo.tag(name, &object, &person, "release", true).unwrap();
    }

    pub(crate) fn delete(&self, reference: &str) {
        self.repo.find_reference(reference).unwrap().delete().unwrap();
    }

    /// Moves a branch without regard to where it was.
    pub(crate) fn force(&self, branch: &str, commit: &str) {
        let name = format!("refs/heads/{branch}");
        self.repo.reference(&name, Oid::from_str(commit).unwrap(), true, "").unwrap();
    }
}

fn entry(path: &str, id: Oid, size: usize) -> git2::IndexEntry {
    let zero = git2::IndexTime::new(0, 0);
    git2::IndexEntry {
        ctime: zero,
        mtime: zero,
        dev: 0,
        ino: 0,
        mode: 0o100_644,
        uid: 0,
        gid: 0,
        file_size: u32::try_from(size).unwrap(),
        id,
        flags: 0,
        flags_extended: 0,
        path: path.as_bytes().to_vec(),
    }
}

/// How many entries a folder has.
pub(crate) fn count(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}
