//! Why a trigger made no job.
use crate::mirror::MirrorError;
use crate::store::StoreError;

/// Why a trigger made no job.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    /// New jobs are not taken for now.
    #[error("Danube is draining and takes no new jobs; try again when the drain has ended")]
    Draining,
    /// The pipeline is not in the configuration in force.
    #[error("the pipeline '{name}' is not in the configuration in force; add it to the config repo again")]
    Inactive {
        /// Its name.
        name: String,
    },
    /// The commit is on no branch, so nothing says what it belongs to.
    #[error("the commit {commit} is on no branch of the repository; push a branch that holds it")]
    OnNoBranch {
        /// The commit.
        commit: String,
    },
    /// The repository names no default branch.
    #[error("the repository {url} has no default branch; name a branch or a commit")]
    NoDefaultBranch {
        /// The repository.
        url: String,
    },
    /// The repository could not be fetched or read.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TriggerError {
    /// Trying again later may help, without anybody changing anything.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Draining => true,
            Self::Mirror(e) => e.is_retryable(),
            Self::Store(e) => !matches!(e, StoreError::NotFound { .. } | StoreError::Corrupt { .. }),
            Self::Inactive { .. } | Self::OnNoBranch { .. } | Self::NoDefaultBranch { .. } => false,
        }
    }
}
