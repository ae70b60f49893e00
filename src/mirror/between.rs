//! What lies between two commits: "what changed since it was green", bounded however long the history is.
use std::collections::{BinaryHeap, HashMap};

use git2::{DiffOptions, Oid, Repository};

use super::objects::describe;
use super::{MirrorError, Objects};
use crate::model::trigger::Revision;

/// Commits that are looked at before the walk gives up: two branches that parted long ago.
const VISITED: usize = 20_000;
/// Paths that are named.
const NAMED: usize = 20;

/// The way from an older commit to a newer one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Between {
    /// Commits that only the newer one has, newest first, as many as were asked for.
    pub commits: Vec<Revision>,
    /// How many there are in all; where `uncounted`, at least.
    pub total: usize,
    /// The histories parted too long ago to count all commits.
    pub uncounted: bool,
    /// The older commit is no longer in the newer one's past: the branch was moved by force.
    pub rewritten: bool,
    /// Files that differ.
    pub files: usize,
    /// The first of them, sorted by path.
    pub paths: Vec<String>,
    /// The file that was watched is among them.
    pub watched: bool,
}

impl Objects {
    /// What lies between two commits, with at most `limit` commits described, and whether the file `watch` differs.
    pub async fn between(&self, older: &str, newer: &str, limit: usize, watch: &str) -> Result<Between, MirrorError> {
        let (older, newer, watch) = (older.to_owned(), newer.to_owned(), watch.to_owned());
        self.read(move |this, repo| {
            let (old, new) = (this.commit(repo, &older)?, this.commit(repo, &newer)?);
            let walk = walk(repo, old.id(), new.id())?;
            let failed = || MirrorError::git("comparing two commits");
            let mut commits = Vec::with_capacity(walk.only_new.len().min(limit));
            for id in walk.only_new.iter().take(limit) {
                commits.push(describe(&repo.find_commit(*id).map_err(failed())?, "", None));
            }
            let total = walk.only_new.len();
            let rewritten = !walk.met && !walk.cut;
            let files = files(repo, &old, &new, &watch)?;
            Ok(Between { commits, total, uncounted: walk.cut, rewritten, ..files })
        })
        .await
    }
}

const NEW: u8 = 1;
const OLD: u8 = 2;

struct Walk {
    only_new: Vec<Oid>,
    met: bool,
    cut: bool,
}

/// Paints both pasts, newest commits first, until nothing is left that only the newer one has.
fn walk(repo: &Repository, old: Oid, new: Oid) -> Result<Walk, MirrorError> {
    let mut paint: HashMap<Oid, u8> = HashMap::new();
    let mut heap = BinaryHeap::new();
    let mut order = Vec::new();
    let mut turn = 0_i64;
    let mut cut = false;
    let mut todo = vec![(new, NEW), (old, OLD)];
    loop {
        for (id, colour) in todo.drain(..) {
            let known = paint.entry(id).or_default();
            if *known | colour != *known {
                *known |= colour;
                let commit = repo.find_commit(id).map_err(MirrorError::git("walking the history"))?;
                // Among commits of one second, those that were met first come first.
                heap.push((commit.time().seconds(), turn, id));
                turn -= 1;
            }
        }
        if !heap.iter().any(|(_, _, id)| paint.get(id) == Some(&NEW)) {
            break;
        }
        let Some((_, _, id)) = heap.pop() else { break };
        if order.len() == VISITED {
            cut = true;
            break;
        }
        order.push(id);
        let colour = paint.get(&id).copied().unwrap_or_default();
        let commit = repo.find_commit(id).map_err(MirrorError::git("walking the history"))?;
        todo.extend(commit.parent_ids().map(|parent| (parent, colour)));
    }
    let mut seen = std::collections::HashSet::new();
    order.retain(|id| paint.get(id) == Some(&NEW) && seen.insert(*id));
    Ok(Walk { only_new: order, met: paint.get(&old).is_some_and(|colour| colour & NEW != 0), cut })
}

fn files(
    repo: &Repository,
    old: &git2::Commit<'_>,
    new: &git2::Commit<'_>,
    watch: &str,
) -> Result<Between, MirrorError> {
    let failed = || MirrorError::git("comparing two commits");
    let (old, new) = (old.tree().map_err(failed())?, new.tree().map_err(failed())?);
    let mut options = DiffOptions::new();
    options.include_typechange(true).skip_binary_check(true);
    let diff = repo.diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options)).map_err(failed())?;
    let path = |delta: git2::DiffDelta<'_>| {
        let path = delta.new_file().path().or_else(|| delta.old_file().path());
        path.map(|path| path.to_string_lossy().into_owned())
    };
    let watched = diff.deltas().filter_map(path).any(|path| path == watch);
    let named = diff.deltas().take(NAMED).filter_map(path);
    let paths = named.map(|path| path.chars().take(500).collect()).collect();
    Ok(Between { files: diff.deltas().len(), paths, watched, ..Between::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::testing::Source;

    async fn between(source: &Source, old: &str, new: &str) -> Between {
        Objects::open(&source.path().join(".git")).between(old, new, 2, "c").await.unwrap()
    }

    fn titles(between: &Between) -> Vec<&str> {
        between.commits.iter().map(|commit| commit.message.as_str()).collect()
    }

    #[tokio::test]
    async fn the_commits_since_are_named_newest_first_and_counted() {
        let source = Source::new();
        let one = source.commit("main", "One", &[("a", "1"), ("b", "1")]);
        source.commit("main", "Two", &[("a", "2"), ("b", "1")]);
        source.commit("main", "Three", &[("a", "2")]);
        let four = source.commit("main", "Four", &[("a", "3"), ("c", "1")]);
        let seen = between(&source, &one, &four).await;
        assert_eq!(titles(&seen), ["Four", "Three"]);
        assert_eq!((seen.total, seen.files, seen.rewritten, seen.uncounted), (3, 3, false, false));
        assert_eq!((seen.paths.join(" ").as_str(), seen.watched), ("a b c", true));
        assert_eq!(seen.commits[0].author, "Ada <ada@example.com>");
    }

    #[tokio::test]
    async fn the_same_commit_has_nothing_between() {
        let source = Source::new();
        let one = source.commit("main", "One", &[("a", "1")]);
        assert_eq!(between(&source, &one, &one).await, Between::default());
    }

    #[tokio::test]
    async fn a_branch_that_was_moved_by_force_is_told() {
        let source = Source::new();
        let one = source.commit("main", "One", &[("a", "1")]);
        let two = source.commit("main", "Two", &[("a", "2")]);
        source.force("main", &one);
        let other = source.commit("main", "Other", &[("a", "3")]);
        let seen = between(&source, &two, &other).await;
        assert_eq!((titles(&seen), seen.rewritten, seen.files), (vec!["Other"], true, 1));
        let gone = Objects::open(&source.path().join(".git")).between(&"9".repeat(40), &other, 2, "c").await;
        assert!(matches!(gone, Err(MirrorError::NoCommit { .. })));
    }
}
