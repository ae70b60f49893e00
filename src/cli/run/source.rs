//! What a run builds from: read as the caller, before rights are given up.
use std::fs::File;
use std::io::Seek;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use futures::future::BoxFuture;

use crate::mirror::{Comparison, Objects, WorkTree};
use crate::model::trigger::Revision;
use crate::orchestrator::{Origin, OriginError, WorkTreeOrigin};

/// A danubefile in a repository.
pub(in crate::cli) struct Checkout {
    pub(in crate::cli) root: PathBuf,
    /// Relative to the root.
    script: String,
}

/// Finds the danubefile and the repository around it.
pub(in crate::cli) fn locate(path: &Path) -> anyhow::Result<Checkout> {
    let path = std::fs::canonicalize(path).with_context(|| format!("cannot find {}", path.display()))?;
    let file = if path.is_dir() { path.join("danubefile.py") } else { path };
    if !file.is_file() {
        bail!("there is no {}; a danubefile says what to run (`danube init` writes an example)", file.display());
    }
    let dir = file.parent().ok_or_else(|| anyhow!("{} has no directory", file.display()))?;
    let root = dir.ancestors().find(|dir| dir.join(".git").exists()).unwrap_or(dir).to_owned();
    let script = file.strip_prefix(&root)?.to_string_lossy().into_owned();
    Ok(Checkout { root, script })
}

/// Everything of the caller's that the run needs.
pub(super) struct Prepared {
    pub(super) name: String,
    pub(super) script: String,
    pub(super) repository: String,
    pub(super) revision: Revision,
    pub(super) dirty: bool,
    pub(super) skipped: Vec<String>,
    source: File,
    /// A copy of the one commit, for `ctx.hash`; none without git.
    objects: Option<PathBuf>,
}

/// Reads the working copy. Starts threads and ends them: nothing of root's is left afterwards.
pub(super) fn prepare(checkout: &Checkout, data: &Path) -> anyhow::Result<Prepared> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let prepared = runtime.block_on(read(checkout, data));
    runtime.shutdown_timeout(std::time::Duration::from_secs(60));
    prepared
}

async fn read(checkout: &Checkout, data: &Path) -> anyhow::Result<Prepared> {
    let tree = WorkTree::open(&checkout.root)?;
    let head = tree.head().await?;
    let revision = head.revision.clone().unwrap_or_else(|| Revision {
        commit: String::new(),
        branch: String::new(),
        tag: None,
        message: String::new(),
        author: String::new(),
    });
    let scratch = data.join("scratch");
    super::private_dir(&scratch)?;
    let objects = if revision.commit.is_empty() { None } else { Some(copy_commit(&checkout.root, &revision, data)?) };
    let name = checkout.root.file_name().map_or_else(|| "run".to_owned(), |n| n.to_string_lossy().into_owned());
    let origin = WorkTreeOrigin::new(tree, scratch);
    let source = origin.source(&revision).await?;
    Ok(Prepared {
        name,
        script: checkout.script.clone(),
        repository: head.origin.unwrap_or_else(|| checkout.root.display().to_string()),
        dirty: head.dirty,
        skipped: Vec::new(),
        revision,
        source,
        objects,
    })
}

/// A bare repository of the one commit in the run's own data.
fn copy_commit(root: &Path, revision: &Revision, data: &Path) -> anyhow::Result<PathBuf> {
    let copy = data.join("scratch").join("commit.git");
    if copy.exists() {
        std::fs::remove_dir_all(&copy)?;
    }
    let output = std::process::Command::new("git")
        .args(["-c", "safe.directory=*", "clone", "--quiet", "--bare", "--depth=1", "--no-local", "--no-tags"])
        .arg("--upload-pack=git -c safe.directory=* upload-pack")
        .args(if revision.branch.is_empty() { vec![] } else { vec!["--branch", revision.branch.as_str()] })
        .arg("--")
        .arg(root)
        .arg(&copy)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .context("cannot run git")?;
    if !output.status.success() {
        bail!("git could not copy the commit: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(copy)
}

impl Prepared {
    /// The working copy as the job's origin.
    pub(super) fn origin(&self) -> anyhow::Result<RunOrigin> {
        let objects = self.objects.as_deref().map(Objects::open);
        Ok(RunOrigin { source: self.source.try_clone()?, objects, script: self.script.clone() })
    }
}

/// What was prepared, as a job asks for it.
pub(super) struct RunOrigin {
    source: File,
    objects: Option<Objects>,
    script: String,
}

type Answer<'a, T> = BoxFuture<'a, Result<T, OriginError>>;

impl Origin for RunOrigin {
    fn source(&self, _revision: &Revision) -> Answer<'_, File> {
        Box::pin(async {
            let again = || {
                let mut file = self.source.try_clone()?;
                file.rewind()?;
                Ok(file)
            };
            again().map_err(|error: std::io::Error| OriginError::Unavailable(error.to_string()))
        })
    }

    fn script_exists(&self, _commit: String, path: String) -> Answer<'_, bool> {
        Box::pin(async move { Ok(path == self.script) })
    }

    /// There is no green run to compare with.
    fn compare(&self, _base: String, _head: String, _globs: Vec<String>) -> Answer<'_, Comparison> {
        Box::pin(async { Ok(Comparison::NoBase) })
    }

    fn merge_base(&self, _branch: String, _head: String) -> Answer<'_, Option<String>> {
        Box::pin(async { Ok(None) })
    }

    fn hash(&self, commit: String, globs: Vec<String>) -> Answer<'_, String> {
        Box::pin(async move {
            match &self.objects {
                Some(objects) => Ok(objects.hash(&commit, &globs).await?),
                None => Err(OriginError::User("ctx.hash needs a git repository, and this folder is none".to_owned())),
            }
        })
    }
}
