//! The files of one commit as a tar stream.
use std::io::BufWriter;
use std::path::Path;

use git2::{ObjectType, Repository, Tree};

use super::scratch::{Sealed, nameless, seal};
use super::tar::{Member, body, finish, header};
use super::{MirrorError, Objects, TarLimits};

/// Folders within folders, at most.
const DEPTH: usize = 200;

impl Objects {
    /// Every file of a commit, in a nameless file that was made in `dir`. Submodules are left out.
    pub async fn archive(&self, commit: &str, dir: &Path, limits: TarLimits) -> Result<Sealed, MirrorError> {
        let (commit, dir) = (commit.to_owned(), dir.to_owned());
        self.read(move |this, repo| {
            let found = this.commit(repo, &commit)?;
            let tree = found.tree().map_err(MirrorError::git("reading a tree"))?;
            let mtime = u64::try_from(found.time().seconds()).unwrap_or(0);
            let writing = || MirrorError::local(format!("writing a tar file in {}", dir.display()));
            let out = BufWriter::new(nameless(&dir).map_err(writing())?);
            let mut archive = Archive { repo, out, left: limits.bytes, members: limits.members, limits, mtime, commit };
            archive.folder(&tree, &mut Vec::new(), 0)?;
            finish(&mut archive.out).map_err(writing())?;
            let file = archive.out.into_inner().map_err(|e| writing()(e.into_error()))?;
            seal(file).map_err(writing())
        })
        .await
    }
}

struct Archive<'a> {
    repo: &'a Repository,
    out: BufWriter<std::fs::File>,
    left: u64,
    members: u64,
    limits: TarLimits,
    mtime: u64,
    commit: String,
}

impl Archive<'_> {
    fn folder(&mut self, tree: &Tree<'_>, path: &mut Vec<u8>, depth: usize) -> Result<(), MirrorError> {
        for entry in tree {
            let length = path.len();
            path.extend_from_slice(entry.name_bytes());
            match (entry.kind(), entry.filemode()) {
                (Some(ObjectType::Tree), _) if depth < DEPTH => {
                    path.push(b'/');
                    self.add(path, Member::Dir, &[])?;
                    let inner = self.repo.find_tree(entry.id()).map_err(MirrorError::git("reading a tree"))?;
                    self.folder(&inner, path, depth + 1)?;
                }
                (Some(ObjectType::Blob), mode) => {
                    let what = || format!("reading '{}'", String::from_utf8_lossy(entry.name_bytes()));
                    let odb = self.repo.odb().map_err(MirrorError::git("opening the objects"))?;
                    // The size is asked first: a huge file is refused without being read.
                    let (size, _) = odb.read_header(entry.id()).map_err(MirrorError::git(what()))?;
                    self.check(size as u64)?;
                    let blob = self.repo.find_blob(entry.id()).map_err(MirrorError::git(what()))?;
                    let member = match mode {
                        0o120_000 => Member::Link { target: blob.content() },
                        mode => Member::File { size: size as u64, executable: mode & 0o100 != 0 },
                    };
                    let content = if mode == 0o120_000 { &[][..] } else { blob.content() };
                    self.add(path, member, content)?;
                }
                _ => {}
            }
            path.truncate(length);
        }
        Ok(())
    }

    fn add(&mut self, path: &[u8], member: Member<'_>, mut content: &[u8]) -> Result<(), MirrorError> {
        let size = content.len() as u64;
        self.check(size)?;
        self.left -= size + 512;
        self.members -= 1;
        let writing = MirrorError::local(format!("writing the files of {}", self.commit));
        let mut write = || {
            header(&mut self.out, path, member, self.mtime)?;
            body(&mut self.out, &mut content, size).map(drop)
        };
        write().map_err(writing)
    }

    /// Refuses what goes beyond the limits.
    fn check(&self, size: u64) -> Result<(), MirrorError> {
        if self.members == 0 || self.left < size.saturating_add(512) {
            let what = format!("the checkout of {} (or its {} files)", self.commit, self.limits.members);
            return Err(MirrorError::TooLarge { what, limit: self.limits.bytes });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::mirror::testing::Source;

    const LIMITS: TarLimits = TarLimits { bytes: 1 << 20, members: 100 };

    async fn listed(source: &Source, commit: &str, limits: TarLimits) -> Result<Vec<u8>, MirrorError> {
        let dir = tempfile::tempdir().unwrap();
        let mut sealed = Objects::open(&source.path().join(".git")).archive(commit, dir.path(), limits).await?;
        let mut bytes = Vec::new();
        sealed.file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, sealed.len);
        Ok(bytes)
    }

    #[tokio::test]
    async fn tar_reads_the_files_of_the_commit_and_no_others() {
        let source = Source::new();
        let long = format!("{}/{}.py", "d".repeat(90), "f".repeat(90));
        let old = source.commit("main", "One", &[("danubefile.py", "old"), (&long, "x"), ("a/b.txt", "b")]);
        source.commit("main", "Two", &[("danubefile.py", "new")]);
        let bytes = listed(&source, &old, LIMITS).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("all.tar"), bytes).unwrap();
        let tar = std::process::Command::new("tar").args(["-xf", "all.tar"]).current_dir(dir.path()).status().unwrap();
        assert!(tar.success());
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!((read("danubefile.py"), read(&long), read("a/b.txt")), ("old".into(), "x".into(), "b".into()));
    }

    #[tokio::test]
    async fn too_much_is_refused_before_it_is_written() {
        let source = Source::new();
        let commit = source.commit("main", "One", &[("a", &"x".repeat(5000)), ("b", "")]);
        let few = TarLimits { members: 1, ..LIMITS };
        for limits in [few, TarLimits { bytes: 4000, ..LIMITS }] {
            let error = listed(&source, &commit, limits).await.unwrap_err();
            assert!(matches!(error, MirrorError::TooLarge { .. }), "{error}");
        }
    }
}
