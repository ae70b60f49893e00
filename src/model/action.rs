//! Who acts, and the closed list of what can be done.
use serde::{Deserialize, Serialize};

use super::{JobId, PipelineId, TokenId, UserId};

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Principal {
    /// Somebody who logged in.
    User {
        /// The user.
        id: UserId,
        /// Its address, as in the config repo.
        email: String,
    },
    /// An API token; acts for the user who made it, within its scope.
    Token {
        /// The token.
        id: TokenId,
        /// Its name.
        name: String,
        /// The user who made it; none for a token of `local-admin`.
        user: Option<UserId>,
    },
    /// root or the service user on the machine.
    LocalAdmin,
    /// A running job.
    Job {
        /// The job.
        id: JobId,
    },
    /// Danube itself: schedules, webhooks, clean-up.
    System,
}

impl Principal {
    /// How people read it in the audit log and beside "triggered by".
    pub fn label(&self) -> String {
        match self {
            Self::User { email, .. } => email.clone(),
            Self::Token { name, .. } => format!("token {name}"),
            Self::LocalAdmin => "local-admin".to_owned(),
            Self::Job { id } => format!("job {id}"),
            Self::System => "system".to_owned(),
        }
    }
}

/// What can be done, and to what. `auth::authorize` decides each; nothing is allowed that is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// See a pipeline, its jobs, logs, artifacts, attestations.
    ReadPipeline(PipelineId),
    /// Start a job.
    Trigger(PipelineId),
    /// Stop a job.
    Cancel(PipelineId),
    /// Run an ended job again.
    Rerun(PipelineId),
    /// Replay an ended job's danubefile with what was recorded.
    Replay(PipelineId),
    /// See names of, set and delete a pipeline's secrets.
    ManageSecrets(PipelineId),
    /// Delete a pipeline's caches.
    ManageCaches(PipelineId),
    /// The same for secrets of all pipelines.
    ManageGlobalSecrets,
    /// See what is wrong with the configuration.
    ReadConfigStatus,
    /// Read the config repo now.
    SyncConfig,
    /// Read the audit log.
    ReadAudit,
    /// See details of health.
    ReadHealth,
    /// Collect the registry's garbage now.
    CollectRegistry,
    /// Make, list and revoke one's own tokens.
    ManageOwnTokens,
    /// Make a one-time login link.
    MakeLoginLink,
}

impl Action {
    /// The word of the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadPipeline(_) => "pipeline.read",
            Self::Trigger(_) => "pipeline.trigger",
            Self::Cancel(_) => "job.cancel",
            Self::Rerun(_) => "job.rerun",
            Self::Replay(_) => "job.replay",
            Self::ManageSecrets(_) => "pipeline.secrets",
            Self::ManageCaches(_) => "pipeline.caches",
            Self::ManageGlobalSecrets => "global.secrets",
            Self::ReadConfigStatus => "config.read",
            Self::SyncConfig => "config.sync",
            Self::ReadAudit => "audit.read",
            Self::ReadHealth => "health.read",
            Self::CollectRegistry => "registry.collect",
            Self::ManageOwnTokens => "token.manage",
            Self::MakeLoginLink => "login_link.create",
        }
    }

    /// The pipeline it is about.
    pub const fn pipeline(self) -> Option<PipelineId> {
        match self {
            Self::ReadPipeline(id)
            | Self::Trigger(id)
            | Self::Cancel(id)
            | Self::Rerun(id)
            | Self::Replay(id)
            | Self::ManageSecrets(id)
            | Self::ManageCaches(id) => Some(id),
            _ => None,
        }
    }
}
