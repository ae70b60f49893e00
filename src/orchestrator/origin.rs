//! What a job builds from: a mirror of its repository, or a developer's working copy.
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};

use danube_shim::{frame, transfer};
use futures::future::BoxFuture;

use crate::mirror::{Comparison, MirrorError, Objects, Sealed, TarLimits, WorkTree};
use crate::model::trigger::Revision;

/// Bytes of a packed commit, and of a working copy.
const SOURCE_BYTES: u64 = 4 << 30;
/// Files of a working copy.
const SOURCE_FILES: u64 = 500_000;
/// A danubefile is small; a larger one is refused before it is read.
const SCRIPT_BYTES: u64 = 1 << 20;

/// Why the origin did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// What was asked for is wrong, and stays so.
    #[error("{0}")]
    User(String),
    /// It may answer later.
    #[error("{0}")]
    Unavailable(String),
}

impl From<MirrorError> for OriginError {
    fn from(error: MirrorError) -> Self {
        if error.is_retryable() { Self::Unavailable(error.to_string()) } else { Self::User(error.to_string()) }
    }
}

type Answer<'a, T> = BoxFuture<'a, Result<T, OriginError>>;

/// What a job builds from.
pub trait Origin: Send + Sync + 'static {
    /// The checkout as the workspace helper reads it: header, pack, tar. Read from its start.
    fn source(&self, revision: &Revision) -> Answer<'_, File>;

    /// Whether the danubefile is there.
    fn script_exists(&self, commit: String, path: String) -> Answer<'_, bool>;

    /// Compares the matching files of two commits.
    fn compare(&self, base: String, head: String, globs: Vec<String>) -> Answer<'_, Comparison>;

    /// The newest commit that a commit shares with a branch; none where either is not known.
    fn merge_base(&self, branch: String, head: String) -> Answer<'_, Option<String>>;

    /// A hash over the matching files of a commit.
    fn hash(&self, commit: String, globs: Vec<String>) -> Answer<'_, String>;
}

/// A job of the server: its commit lies in a mirror.
pub struct MirrorOrigin {
    objects: Objects,
    scratch: PathBuf,
}

impl MirrorOrigin {
    /// Reads from a mirror's objects; nameless files are made in `scratch`.
    pub const fn new(objects: Objects, scratch: PathBuf) -> Self {
        Self { objects, scratch }
    }
}

impl Origin for MirrorOrigin {
    fn source(&self, revision: &Revision) -> Answer<'_, File> {
        let revision = revision.clone();
        Box::pin(async move {
            let pack = self.objects.pack(&revision.commit, &self.scratch, SOURCE_BYTES).await?;
            let header = transfer::Checkout {
                version: transfer::VERSION,
                commit: Some(revision.commit),
                ref_name: Some(revision.branch).filter(|branch| !branch.is_empty()),
                pack_bytes: pack.len,
                tar_bytes: 0,
            };
            joined(header, vec![pack], self.scratch.clone()).await
        })
    }

    fn script_exists(&self, commit: String, path: String) -> Answer<'_, bool> {
        Box::pin(async move {
            match self.objects.read_file(&commit, &path, SCRIPT_BYTES).await {
                Ok(_) => Ok(true),
                Err(MirrorError::NoFile { .. }) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
    }

    fn compare(&self, base: String, head: String, globs: Vec<String>) -> Answer<'_, Comparison> {
        Box::pin(async move { Ok(self.objects.compare(Some(&base), &head, &globs).await?) })
    }

    fn merge_base(&self, branch: String, head: String) -> Answer<'_, Option<String>> {
        Box::pin(async move {
            let Some(tip) = self.objects.find_branch(&branch).await? else { return Ok(None) };
            Ok(self.objects.merge_base(&tip.commit, &head).await?)
        })
    }

    fn hash(&self, commit: String, globs: Vec<String>) -> Answer<'_, String> {
        Box::pin(async move { Ok(self.objects.hash(&commit, &globs).await?) })
    }
}

/// A job of `danube run`: the files of a folder, with its last commit where it has one.
pub struct WorkTreeOrigin {
    tree: WorkTree,
    scratch: PathBuf,
}

impl WorkTreeOrigin {
    /// Reads from a folder; nameless files are made in `scratch`.
    pub const fn new(tree: WorkTree, scratch: PathBuf) -> Self {
        Self { tree, scratch }
    }
}

impl Origin for WorkTreeOrigin {
    fn source(&self, revision: &Revision) -> Answer<'_, File> {
        let revision = revision.clone();
        Box::pin(async move {
            let limits = TarLimits { bytes: SOURCE_BYTES, members: SOURCE_FILES };
            let files = self.tree.tar(&self.scratch, limits).await?;
            let mut parts = Vec::new();
            let mut header = transfer::Checkout {
                version: transfer::VERSION,
                commit: None,
                ref_name: None,
                pack_bytes: 0,
                tar_bytes: files.tar.len,
            };
            if let Some(objects) = self.tree.objects()
                && !revision.commit.is_empty()
            {
                let pack = objects.pack(&revision.commit, &self.scratch, SOURCE_BYTES).await?;
                header.commit = Some(revision.commit);
                header.ref_name = Some(revision.branch).filter(|branch| !branch.is_empty());
                header.pack_bytes = pack.len;
                parts.push(pack);
            }
            parts.push(files.tar);
            joined(header, parts, self.scratch.clone()).await
        })
    }

    fn script_exists(&self, _commit: String, path: String) -> Answer<'_, bool> {
        let file = self.tree.root().join(&path);
        Box::pin(async move { Ok(tokio::fs::symlink_metadata(file).await.is_ok_and(|meta| meta.is_file())) })
    }

    /// A working copy has no green run to compare with (PROTOCOLS 5).
    fn compare(&self, _base: String, _head: String, _globs: Vec<String>) -> Answer<'_, Comparison> {
        Box::pin(async { Ok(Comparison::NoBase) })
    }

    fn merge_base(&self, _branch: String, _head: String) -> Answer<'_, Option<String>> {
        Box::pin(async { Ok(None) })
    }

    fn hash(&self, commit: String, globs: Vec<String>) -> Answer<'_, String> {
        Box::pin(async move {
            match self.tree.objects() {
                Some(objects) => Ok(objects.hash(&commit, &globs).await?),
                None => Err(OriginError::User("ctx.hash needs a git repository, and this folder is none".to_owned())),
            }
        })
    }
}

/// Header and parts as one nameless file, set back to its start.
async fn joined(header: transfer::Checkout, parts: Vec<Sealed>, scratch: PathBuf) -> Result<File, OriginError> {
    let join = move || write_joined(&header, parts, &scratch);
    let joined =
        tokio::task::spawn_blocking(join).await.map_err(|error| OriginError::Unavailable(error.to_string()))?;
    joined.map_err(|error| OriginError::Unavailable(format!("the checkout could not be prepared: {error}")))
}

fn write_joined(header: &transfer::Checkout, parts: Vec<Sealed>, scratch: &Path) -> std::io::Result<File> {
    let mut file = nameless(scratch)?;
    file.write_all(&frame::encode(header).map_err(std::io::Error::other)?)?;
    for mut part in parts {
        std::io::copy(&mut part.file, &mut file)?;
    }
    file.rewind()?;
    Ok(file)
}

/// A file without a name: it goes with its last descriptor.
fn nameless(dir: &Path) -> std::io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(dir, flags, Mode::RUSR | Mode::WUSR)?))
}
