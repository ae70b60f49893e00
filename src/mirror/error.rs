//! What can go wrong between Danube and a repository.
use crate::platform::git::BadUrl;

/// Why a repository could not be fetched or read. Cloned to everybody who waited for the same fetch.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MirrorError {
    /// The address is refused before git sees it.
    #[error("the repository address '{url}' {source}")]
    BadUrl {
        /// The address, shortened.
        url: String,
        /// Why.
        source: BadUrl,
    },
    /// No answer, or a refusal, from the other side.
    #[error(
        "the repository {url} could not be fetched: {reason}. Check the address, the network, and which entry of \
         git_authentication matches it"
    )]
    Fetch {
        /// The address.
        url: String,
        /// What git said.
        reason: String,
    },
    /// Danube is stopping.
    #[error("the fetch was stopped because Danube is stopping")]
    Stopped,
    /// The credential for the repository cannot be used.
    #[error("the credential '{name}' of git_authentication cannot open {url}: {reason}")]
    Credential {
        /// The entry's name.
        name: String,
        /// The address.
        url: String,
        /// Why.
        reason: String,
    },
    /// No such branch.
    #[error("the repository {url} has no branch '{branch}'{hint}")]
    NoBranch {
        /// The repository.
        url: String,
        /// What was asked for.
        branch: String,
        /// The nearest names, as the end of the sentence.
        hint: String,
    },
    /// No such commit.
    #[error("the repository {url} has no commit '{commit}': give a full id, or push the commit first")]
    NoCommit {
        /// The repository.
        url: String,
        /// What was asked for.
        commit: String,
    },
    /// No such file at the commit.
    #[error("the commit {commit} has no file '{path}'")]
    NoFile {
        /// The commit.
        commit: String,
        /// What was asked for.
        path: String,
    },
    /// More bytes than allowed.
    #[error("{what} is larger than the limit of {limit} bytes")]
    TooLarge {
        /// What.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// A glob is no glob.
    #[error("the pattern '{pattern}' cannot be read: {reason}")]
    BadGlob {
        /// As written.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// The copy or checkout on this machine cannot be read or written.
    #[error("{what} failed: {reason}")]
    Local {
        /// What was tried, on what.
        what: String,
        /// Why it failed.
        reason: String,
    },
}

impl MirrorError {
    pub(super) fn local(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |e| Self::Local { what, reason: e.to_string() }
    }

    pub(super) fn git(what: impl Into<String>) -> impl FnOnce(git2::Error) -> Self {
        let what = what.into();
        move |e| Self::Local { what, reason: e.message().to_owned() }
    }

    /// Trying again later may help: the other side was away.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Fetch { .. } | Self::Stopped | Self::Local { .. })
    }
}
