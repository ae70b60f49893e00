//! A bare mirror and the fetches that fill it.
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::platform::fault;
use crate::platform::git::{self, Access, GitError, Transport, check_branch, check_url};

use super::auth::short;
use super::{MirrorError, Objects};

/// The longest a fetch may take.
const FETCH_LIMIT: Duration = Duration::from_secs(600);
/// The longest a question about the refs may take.
const ASK_LIMIT: Duration = Duration::from_secs(60);
/// Files in a mirror's folder of packs from which on it is tidied up.
const MANY_PACKS: usize = 100;

/// A bare copy of one repository: all its branches and tags.
#[derive(Debug)]
pub struct Mirror {
    url: String,
    objects: Objects,
    turn: tokio::sync::Mutex<()>,
    rounds: Mutex<Rounds>,
}

/// Fetches are numbered in the order of their starts.
#[derive(Debug, Default)]
struct Rounds {
    started: u64,
    ended: u64,
    result: Option<Result<(), MirrorError>>,
}

impl Mirror {
    /// Where the mirror of an address lies: one address, one folder, whatever characters it holds.
    pub fn path_of(repos_dir: &Path, url: &str) -> PathBuf {
        let digest = hex::encode(Sha256::digest(url.as_bytes()));
        repos_dir.join(format!("{}.git", &digest[..16]))
    }

    /// Opens the mirror of an address, making an empty one where it is missing or damaged. Ask `Repos`, so that
    /// there is one of each.
    pub fn open_or_create(repos_dir: &Path, url: &str) -> Result<Self, MirrorError> {
        check_url(url).map_err(|source| MirrorError::BadUrl { url: short(url), source })?;
        let path = Self::path_of(repos_dir, url);
        let mirror = Self {
            url: url.to_owned(),
            objects: Objects::new(path, url),
            turn: tokio::sync::Mutex::default(),
            rounds: Mutex::default(),
        };
        mirror.ensure()?;
        Ok(mirror)
    }

    /// Makes it an empty bare repository if it is none.
    pub(super) fn ensure(&self) -> Result<(), MirrorError> {
        let path = self.objects.path();
        // A power cut may leave an empty HEAD, which git takes for no repository at all.
        if git2::Repository::open_bare(path).is_ok_and(|repo| repo.find_reference("HEAD").is_ok()) {
            return Ok(());
        }
        let failed = || format!("making the mirror {}", path.display());
        if path.exists() {
            // A cache that cannot be read is worth nothing; the next fetch fills a new one.
            fs::remove_dir_all(path).map_err(MirrorError::local(failed()))?;
        }
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).no_reinit(true).external_template(false).mode(git2::RepositoryInitMode::SHARED_UMASK);
        let point = "mirror.create";
        fault::before(point).map_err(MirrorError::local(failed()))?;
        git2::Repository::init_opts(path, &options).map_err(MirrorError::git(failed()))?;
        fault::after(point);
        Ok(())
    }

    /// The address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What is in it.
    pub const fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Brings all branches and tags to where they are now; what is gone there is gone here. One fetch runs at a
    /// time; who asks while one runs shares the next, because the running one may have looked too early.
    pub async fn fetch(&self, access: &Access, stop: &CancellationToken) -> Result<(), MirrorError> {
        let needed = self.rounds().started + 1;
        let _turn = self.turn.lock().await;
        {
            let mut rounds = self.rounds();
            if rounds.ended >= needed
                && let Some(result) = &rounds.result
            {
                return result.clone();
            }
            rounds.started += 1;
        }
        let result = self.fetch_now(access, stop).await;
        let mut rounds = self.rounds();
        // Whoever was stopped says nothing about the repository: the next in line asks itself.
        if !matches!(result, Err(MirrorError::Stopped)) {
            rounds.ended = rounds.started;
            rounds.result = Some(result.clone());
        }
        result
    }

    /// How many fetches were started: a change says that somebody really asked.
    pub fn fetches(&self) -> u64 {
        self.rounds().started
    }

    async fn fetch_now(&self, access: &Access, stop: &CancellationToken) -> Result<(), MirrorError> {
        self.ensure()?;
        let args = [
            "fetch",
            "--quiet",
            "--prune",
            "--force",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            self.serve(),
            "--",
            &self.url,
            "+refs/heads/*:refs/heads/*",
            "+refs/tags/*:refs/tags/*",
        ];
        let point = "mirror.fetch";
        fault::before(point).map_err(MirrorError::local(format!("fetching {}", short(&self.url))))?;
        self.git(&args, access, FETCH_LIMIT, stop).await?;
        fault::after(point);
        self.tidy(stop).await;
        Ok(())
    }

    /// The other side's command: git serves a local repository of another user only when told to, and
    /// its address stands in the config repo, so it is meant.
    fn serve(&self) -> &'static str {
        match check_url(&self.url) {
            Ok(Transport::Local) => git::SERVE_ANY_OWNER,
            _ => "--upload-pack=git-upload-pack",
        }
    }

    /// Puts many small packs together: each fetch brings one, and reads get slower with every one.
    async fn tidy(&self, stop: &CancellationToken) {
        let packs = fs::read_dir(self.objects.path().join("objects/pack")).map_or(0, Iterator::count);
        if packs < MANY_PACKS {
            return;
        }
        if let Err(e) = self.git(&["gc", "--quiet"], &Access::Open, FETCH_LIMIT, stop).await {
            tracing::warn!(repository = self.url, error = %e, "a mirror could not be tidied up; it still works");
        }
    }

    /// The branch that the other side calls its default; none where it names one that is not there.
    pub async fn default_branch(
        &self,
        access: &Access,
        stop: &CancellationToken,
    ) -> Result<Option<String>, MirrorError> {
        let args = ["ls-remote", "--symref", self.serve(), "--", &self.url, "HEAD"];
        let said = self.git(&args, access, ASK_LIMIT, stop).await?;
        let text = String::from_utf8_lossy(&said.stdout);
        let named = text.lines().find_map(|line| line.strip_prefix("ref: refs/heads/")?.strip_suffix("\tHEAD"));
        Ok(named.filter(|branch| check_branch(branch)).map(str::to_owned))
    }

    async fn git(
        &self,
        args: &[&str],
        access: &Access,
        limit: Duration,
        stop: &CancellationToken,
    ) -> Result<git::Output, MirrorError> {
        check_url(&self.url).map_err(|source| MirrorError::BadUrl { url: short(&self.url), source })?;
        let said = git::run(args.iter().copied(), self.objects.path(), access, limit, stop).await;
        said.map_err(|e| match e {
            GitError::Stopped => MirrorError::Stopped,
            GitError::Failed { stderr, .. } if !stderr.is_empty() => {
                MirrorError::Fetch { url: short(&self.url), reason: stderr }
            }
            other => MirrorError::Fetch { url: short(&self.url), reason: other.to_string() },
        })
    }

    fn rounds(&self) -> std::sync::MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
