//! What is read from a repository: branches, commits, files. The same for a mirror and for a checkout.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::{BranchType, Commit, ErrorCode, Oid, Repository, RepositoryOpenFlags};

use crate::model::nearest;
use crate::model::trigger::Revision;
use crate::platform::git::check_branch;

use super::MirrorError;
use super::auth::short;

/// The longest commit message that is kept.
const MAX_MESSAGE: usize = 4096;
/// The longest author that is kept.
const MAX_AUTHOR: usize = 512;
/// Branches that an error names.
const MAX_NAMED: usize = 8;

/// The objects and refs of one repository. Cheap to clone; every read opens the repository anew, on a blocking
/// thread, because a fetch may have added packs since.
#[derive(Debug, Clone)]
pub struct Objects {
    place: Arc<Place>,
}

#[derive(Debug)]
struct Place {
    path: PathBuf,
    label: String,
}

impl Objects {
    /// `label` is how errors call the repository: its address.
    pub(super) fn new(path: PathBuf, label: &str) -> Self {
        Self { place: Arc::new(Place { path, label: short(label) }) }
    }

    /// A bare repository of the caller's own.
    pub fn open(path: &Path) -> Self {
        Self::new(path.to_owned(), &path.display().to_string())
    }

    /// The repository's own folder (the mirror, or `.git`).
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    /// All branches, sorted.
    pub async fn branches(&self) -> Result<Vec<String>, MirrorError> {
        self.read(|_, repo| branches(repo)).await
    }

    /// Where a branch is now; an unknown one is an error that names the nearest.
    pub async fn resolve(&self, branch: &str) -> Result<Revision, MirrorError> {
        match self.find_branch(branch).await? {
            Some(revision) => Ok(revision),
            None => Err(self.unknown_branch(branch).await),
        }
    }

    /// Where a branch is now, if it exists.
    pub async fn find_branch(&self, branch: &str) -> Result<Option<Revision>, MirrorError> {
        let branch = branch.to_owned();
        self.read(move |_, repo| {
            if !check_branch(&branch) {
                return Ok(None);
            }
            let found = find_ref(repo, &format!("refs/heads/{branch}"))?;
            Ok(found.map(|commit| describe(&commit, &branch, None)))
        })
        .await
    }

    /// Where a tag points to now, if it exists.
    pub async fn find_tag(&self, tag: &str) -> Result<Option<Revision>, MirrorError> {
        let tag = tag.to_owned();
        self.read(move |_, repo| {
            if !check_branch(&tag) {
                return Ok(None);
            }
            let found = find_ref(repo, &format!("refs/tags/{tag}"))?;
            Ok(found.map(|commit| describe(&commit, "", Some(&tag))))
        })
        .await
    }

    /// A commit by its full id or a unique start of it, as a job on `branch` would build it.
    pub async fn revision(&self, commit: &str, branch: &str) -> Result<Revision, MirrorError> {
        let (commit, branch) = (commit.to_owned(), branch.to_owned());
        self.read(move |this, repo| Ok(describe(&this.commit(repo, &commit)?, &branch, None))).await
    }

    /// Branches that hold a commit; those it heads come first.
    pub async fn branches_with(&self, commit: &str) -> Result<Vec<String>, MirrorError> {
        let commit = commit.to_owned();
        self.read(move |this, repo| {
            let id = this.commit(repo, &commit)?.id();
            let (mut heads, mut others) = (Vec::new(), Vec::new());
            for branch in branches(repo)? {
                let Some(head) = find_ref(repo, &format!("refs/heads/{branch}"))? else { continue };
                if head.id() == id {
                    heads.push(branch);
                } else if repo.graph_descendant_of(head.id(), id).is_ok_and(|holds| holds) {
                    others.push(branch);
                }
            }
            heads.append(&mut others);
            Ok(heads)
        })
        .await
    }

    /// A file of a commit, at most `limit` bytes. A link is not followed.
    pub async fn read_file(&self, commit: &str, path: &str, limit: u64) -> Result<Vec<u8>, MirrorError> {
        let (commit, path) = (commit.to_owned(), path.to_owned());
        self.read(move |this, repo| {
            let tree = this.commit(repo, &commit)?.tree().map_err(MirrorError::git("reading a tree"))?;
            let none = || MirrorError::NoFile { commit: commit.clone(), path: path.clone() };
            let entry = tree.get_path(Path::new(&path)).map_err(|_| none())?;
            if entry.kind() != Some(git2::ObjectType::Blob) || entry.filemode() == 0o120_000 {
                return Err(none());
            }
            // The size is asked first: a huge file is refused without being read.
            let odb = repo.odb().map_err(MirrorError::git("opening the objects"))?;
            let (size, _) = odb.read_header(entry.id()).map_err(MirrorError::git(format!("reading '{path}'")))?;
            if size as u64 > limit {
                return Err(MirrorError::TooLarge { what: format!("the file '{path}'"), limit });
            }
            let blob = repo.find_blob(entry.id()).map_err(MirrorError::git(format!("reading '{path}'")))?;
            Ok(blob.content().to_vec())
        })
        .await
    }

    /// The newest commit that both have in their past; none if their histories never met.
    pub async fn merge_base(&self, one: &str, other: &str) -> Result<Option<String>, MirrorError> {
        let (one, other) = (one.to_owned(), other.to_owned());
        self.read(move |this, repo| {
            let (one, other) = (this.commit(repo, &one)?.id(), this.commit(repo, &other)?.id());
            match repo.merge_base(one, other) {
                Ok(id) => Ok(Some(id.to_string())),
                Err(e) if e.code() == ErrorCode::NotFound => Ok(None),
                Err(e) => Err(MirrorError::git("finding a merge base")(e)),
            }
        })
        .await
    }

    /// The error for an unknown branch; it names the nearest ones.
    async fn unknown_branch(&self, branch: &str) -> MirrorError {
        let names = self.branches().await.unwrap_or_default();
        let hint = match nearest(branch, names.iter().map(String::as_str)) {
            Some(near) => format!(", did you mean '{near}'?"),
            None if names.is_empty() => ": it has no branches yet".to_owned(),
            None => {
                let more = if names.len() > MAX_NAMED { ", …" } else { "" };
                format!("; it has {}{more}", names[..names.len().min(MAX_NAMED)].join(", "))
            }
        };
        MirrorError::NoBranch { url: self.place.label.clone(), branch: short(branch), hint }
    }

    /// Finds a commit by its full id or a unique start of at least seven digits; names are not looked up.
    pub(super) fn commit<'r>(&self, repo: &'r Repository, commit: &str) -> Result<Commit<'r>, MirrorError> {
        let none = || MirrorError::NoCommit { url: self.place.label.clone(), commit: short(commit) };
        let is_id = (7..=40).contains(&commit.len()) && commit.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_id {
            return Err(none());
        }
        let found = match Oid::from_str(commit) {
            Ok(id) if commit.len() == 40 => repo.find_commit(id),
            _ => repo.find_commit_by_prefix(commit),
        };
        found.map_err(|_| none())
    }

    /// Runs a read of several things on a blocking thread, with the repository opened once.
    pub async fn read<T, F>(&self, read: F) -> Result<T, MirrorError>
    where
        T: Send + 'static,
        F: FnOnce(&Self, &Repository) -> Result<T, MirrorError> + Send + 'static,
    {
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || this.read_blocking(read)).await;
        done.map_err(|e| MirrorError::Local { what: "reading a repository".to_owned(), reason: e.to_string() })?
    }

    /// Runs a read on this thread, which must be one that may block.
    pub fn read_blocking<T>(
        &self,
        read: impl FnOnce(&Self, &Repository) -> Result<T, MirrorError>,
    ) -> Result<T, MirrorError> {
        let flags = RepositoryOpenFlags::NO_SEARCH;
        let nowhere: [&Path; 0] = [];
        let repo = Repository::open_ext(self.path(), flags, nowhere);
        let repo = repo.map_err(MirrorError::git(format!("opening the repository {}", self.path().display())))?;
        read(self, &repo)
    }
}

fn branches(repo: &Repository) -> Result<Vec<String>, MirrorError> {
    let all = repo.branches(Some(BranchType::Local)).map_err(MirrorError::git("listing branches"))?;
    let mut names: Vec<String> =
        all.flatten().filter_map(|(branch, _)| branch.name().ok().flatten().map(str::to_owned)).collect();
    names.sort_unstable();
    Ok(names)
}

fn find_ref<'r>(repo: &'r Repository, name: &str) -> Result<Option<Commit<'r>>, MirrorError> {
    let reference = match repo.find_reference(name) {
        Ok(reference) => reference,
        Err(e) if matches!(e.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => return Ok(None),
        Err(e) => return Err(MirrorError::git(format!("reading {name}"))(e)),
    };
    // A tag of a tree or blob is nothing that can be built.
    Ok(reference.peel_to_commit().ok())
}

pub(super) fn describe(commit: &Commit<'_>, branch: &str, tag: Option<&str>) -> Revision {
    let author = commit.author();
    let person =
        format!("{} <{}>", String::from_utf8_lossy(author.name_bytes()), String::from_utf8_lossy(author.email_bytes()));
    Revision {
        commit: commit.id().to_string(),
        branch: branch.to_owned(),
        tag: tag.map(str::to_owned),
        message: cut(String::from_utf8_lossy(commit.message_bytes()).trim_end(), MAX_MESSAGE),
        author: cut(&person, MAX_AUTHOR),
    }
}

/// At most `most` bytes, ending between two characters.
fn cut(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests;
