//! Why a trigger made no job.
use crate::mirror::MirrorError;
use crate::model::job::Status;
use crate::model::param::BadParams;
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
    /// Only what has ended can be run again.
    #[error("{job} is {status} and cannot be run again yet; wait for its end, or cancel it first")]
    NotEnded {
        /// The job.
        job: String,
        /// Where it stands.
        status: Status,
    },
    /// There is nothing to go on in.
    #[error("{job} cannot be run again from where it stopped: {why}; run all of it again")]
    NoWorkspace {
        /// The job.
        job: String,
        /// What became of its workspace.
        why: String,
    },
    /// The pipeline's params have changed since the job.
    #[error(
        "{job} cannot be run again with its params, because the pipeline does not take them any more: {bad}; start a new job instead"
    )]
    OldParams {
        /// The job.
        job: String,
        /// What does not fit.
        bad: BadParams,
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
    /// The values of a start do not fit the pipeline's params.
    #[error(transparent)]
    Params(#[from] BadParams),
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
            Self::Inactive { .. }
            | Self::OnNoBranch { .. }
            | Self::NoDefaultBranch { .. }
            | Self::NotEnded { .. }
            | Self::NoWorkspace { .. }
            | Self::OldParams { .. }
            | Self::Params(_) => false,
        }
    }
}
