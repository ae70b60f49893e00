//! Why the config repo could not be looked at. Mistakes inside it are `ConfigIssue`s.
use std::io;
use std::path::PathBuf;

use crate::platform::git::{BadUrl, GitError};

/// Why the config repo could not be fetched or read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigRepoError {
    /// The address is hostile or no address.
    #[error("config_repo.url '{url}' {source}")]
    BadUrl {
        /// The address.
        url: String,
        /// What is wrong with it.
        source: BadUrl,
    },
    /// The other side does not answer, or does not let us in.
    #[error(
        "the config repo {url} cannot be reached: {reason}. Check the address, the network and the deploy key; the configuration in force stays"
    )]
    Unreachable {
        /// The address.
        url: String,
        /// What git said.
        reason: String,
    },
    /// Nothing was ever pushed.
    #[error("the config repo {url} is empty: push a first commit, for example of what `danube init` writes")]
    Empty {
        /// The address.
        url: String,
    },
    /// It has other branches.
    #[error("the config repo {url} has no branch '{branch}'; it has: {}. Set config_repo.branch, or push the branch", branches.join(", "))]
    NoBranch {
        /// The address.
        url: String,
        /// The branch that was asked for.
        branch: String,
        /// The branches there are.
        branches: Vec<String>,
    },
    /// git did not run.
    #[error("the config repo cannot be fetched")]
    Git(#[source] GitError),
    /// The local copy is broken.
    #[error("the local copy of the config repo at {path} cannot be used; it is a cache and may be deleted")]
    Mirror {
        /// The copy.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An object of a commit cannot be read.
    #[error("commit {commit} of the config repo cannot be read")]
    Objects {
        /// The commit.
        commit: String,
        /// Why.
        #[source]
        source: git2::Error,
    },
    /// A folder or file on this machine cannot be read.
    #[error("{path} cannot be read")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The store did not take it.
    #[error("the configuration cannot be stored")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ConfigRepoError {
    /// Whether the other side is at fault, so that trying again may help.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Git(GitError::TimedOut(_)))
    }
}
