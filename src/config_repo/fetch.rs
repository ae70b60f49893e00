//! The local copy of the config repo: git brings the branch, git2 reads it.
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{Oid, Repository};
use tokio_util::sync::CancellationToken;

use super::error::ConfigRepoError;
use super::files::{Files, from_commit};
use crate::config::ConfigRepo;
use crate::platform::fault;
use crate::platform::git::{self, Access, GitError, Transport, check_url};

/// The longest that one call of git may take.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Where the fetched branch stands in the local copy.
const LOCAL_REF: &str = "refs/heads/config";
/// Branches that an error names.
const MAX_BRANCHES: usize = 20;
/// A bare repository that holds the newest commit of the branch. A cache: it may be deleted.
#[derive(Debug, Clone)]
pub struct Mirror {
    dir: PathBuf,
    remote: ConfigRepo,
    transport: Transport,
    access: Access,
}

impl Mirror {
    /// Under `<data_dir>/repos`, opened with the deploy key under `<data_dir>/keys`.
    pub fn new(data_dir: &Path, remote: &ConfigRepo) -> Result<Self, ConfigRepoError> {
        let bad = |source| ConfigRepoError::BadUrl { url: remote.url.clone(), source };
        let transport = check_url(&remote.url).map_err(bad)?;
        let keys = data_dir.join("keys");
        let access = match transport {
            Transport::Ssh => {
                Access::SshKey { file: keys.join("git_deploy_key"), known_hosts: keys.join("known_hosts") }
            }
            Transport::Http | Transport::Local => Access::Open,
        };
        Ok(Self { dir: data_dir.join("repos/config.git"), remote: remote.clone(), transport, access })
    }

    /// Brings the newest commit of the branch here.
    pub async fn fetch(&self, stop: &CancellationToken) -> Result<Oid, ConfigRepoError> {
        let dir = self.dir.clone();
        blocking(move || open(&dir).map(drop)).await?;
        self.find_branch(stop).await?;
        let refspec = format!("+refs/heads/{}:{LOCAL_REF}", self.remote.branch);
        let mut args = vec!["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--depth=1", "--update-head-ok"];
        args.extend((self.transport == Transport::Local).then_some(git::SERVE_ANY_OWNER));
        args.extend(["--", &self.remote.url, &refspec]);
        self.git(args, stop).await?;
        let dir = self.dir.clone();
        blocking(move || {
            let repository = open(&dir)?;
            repository.refname_to_id(LOCAL_REF).map_err(|source| broken(&dir, source))
        })
        .await
    }

    /// The files of a commit that was fetched.
    pub async fn read(&self, commit: Oid) -> Result<Files, ConfigRepoError> {
        let dir = self.dir.clone();
        blocking(move || from_commit(&open(&dir)?, commit)).await
    }

    /// The three ways to have nothing to fetch are told apart before anything is fetched.
    async fn find_branch(&self, stop: &CancellationToken) -> Result<(), ConfigRepoError> {
        let mut args = vec!["ls-remote", "--quiet", "--heads"];
        args.extend((self.transport == Transport::Local).then_some(git::SERVE_ANY_OWNER));
        args.extend(["--", &self.remote.url]);
        let listed = self.git(args, stop).await?;
        let text = String::from_utf8_lossy(&listed.stdout);
        let mut branches = text.lines().filter_map(|line| line.split_once("\trefs/heads/").map(|(_, name)| name));
        let url = self.remote.url.clone();
        if branches.clone().any(|name| name == self.remote.branch) {
            return Ok(());
        }
        if branches.clone().next().is_none() {
            return Err(ConfigRepoError::Empty { url });
        }
        let mut named: Vec<String> = branches.by_ref().take(MAX_BRANCHES).map(super::issue::shown).collect();
        named.extend(branches.next().map(|_| "…".to_owned()));
        Err(ConfigRepoError::NoBranch { url, branch: self.remote.branch.clone(), branches: named })
    }

    async fn git(&self, args: Vec<&str>, stop: &CancellationToken) -> Result<git::Output, ConfigRepoError> {
        // An explicit repository, so that nothing above the folder is ever taken for it.
        let args = std::iter::once("--git-dir=.").chain(args).map(OsString::from);
        git::run(args, &self.dir, &self.access, TIMEOUT, stop).await.map_err(|error| match error {
            GitError::Failed { stderr, .. } => {
                ConfigRepoError::Unreachable { url: self.remote.url.clone(), reason: reason(&stderr) }
            }
            other => ConfigRepoError::Git(other),
        })
    }
}

/// What git said, without the advice that it gives on every failure.
fn reason(stderr: &str) -> String {
    let said = stderr.split(" / fatal: Could not read from remote repository").next().unwrap_or(stderr);
    said.trim_start_matches("fatal: ").trim_end_matches('.').to_owned()
}

/// Opens the local copy; makes it anew where it is missing or damaged.
fn open(dir: &Path) -> Result<Repository, ConfigRepoError> {
    match Repository::open_bare(dir) {
        Ok(repository) => Ok(repository),
        Err(_) => {
            if dir.exists() {
                fs::remove_dir_all(dir).map_err(|source| broken(dir, source))?;
            }
            let point = "config_repo.create";
            fault::before(point).and_then(|()| fs::create_dir_all(dir)).map_err(|source| broken(dir, source))?;
            let made = Repository::init_bare(dir).map_err(|source| broken(dir, source))?;
            fault::after(point);
            Ok(made)
        }
    }
}

fn broken(dir: &Path, source: impl std::error::Error + Send + Sync + 'static) -> ConfigRepoError {
    ConfigRepoError::Mirror { path: dir.to_owned(), source: Box::new(source) }
}

/// git2 blocks, so it runs beside the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ConfigRepoError> + Send + 'static,
) -> Result<T, ConfigRepoError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
        Err(_) => Err(ConfigRepoError::Git(GitError::Stopped)),
    }
}

#[cfg(test)]
pub(in crate::config_repo) mod tests;
