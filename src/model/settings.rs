//! What the config repo says, after it was read and checked: plain values, no YAML, no SQL.
//!
//! `config_repo` makes one `Settings` of a commit, `store` applies it in one transaction, and each
//! job keeps its `Pipeline` as it then was.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use super::param::{Param, ParamType};

/// The whole of one config commit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Settings {
    /// The `Config` document.
    pub global: Global,
    /// Every `User`, by address.
    pub users: Vec<User>,
    /// Every `Team`, by name.
    pub teams: Vec<Team>,
    /// Every `Pipeline`, by name.
    pub pipelines: Vec<Pipeline>,
}

/// The `Config` document named `global`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Global {
    /// `server.bind_address` and `server.data_dir`: read at start, a change needs a restart.
    pub server: BTreeMap<String, String>,
    /// How long things are kept.
    pub retention: Retention,
    /// Jobs in a cluster.
    #[serde(default)]
    pub kubernetes: Kubernetes,
    /// Traces and metrics that are sent elsewhere.
    #[serde(default)]
    pub observability: Observability,
    /// DNS names that jobs may reach: ceiling and default.
    pub egress_allowlist: Vec<String>,
    /// Which credential opens which repository; the first match wins.
    pub git_authentication: Vec<GitAuth>,
    /// How registries of images are reached.
    #[serde(default)]
    pub registries: Vec<Registry>,
    /// Which secret signs the deliveries of which forge.
    pub webhooks: Vec<Webhook>,
    /// Running jobs at once.
    pub max_running_jobs: u32,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            server: BTreeMap::new(),
            retention: Retention::default(),
            kubernetes: Kubernetes::default(),
            observability: Observability::default(),
            egress_allowlist: Vec::new(),
            git_authentication: Vec::new(),
            registries: Vec::new(),
            webhooks: Vec::new(),
            max_running_jobs: 4,
        }
    }
}

/// One entry of `registries`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registry {
    /// Its host, perhaps with a port, as the names of images have it.
    pub host: String,
    /// Addresses that are asked before it, in this order.
    pub mirrors: Vec<String>,
    /// The user there.
    pub username: Option<String>,
    /// The Danube secret that holds the user's password.
    pub password_secret: Option<String>,
    /// It speaks HTTP without TLS.
    pub plain_http: bool,
}

/// Days that things are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Log files.
    pub logs_days: u32,
    /// Artifact files.
    pub artifacts_days: u32,
    /// Images in the registry.
    pub registry_images_days: u32,
    /// Job rows; none keeps them for ever.
    pub jobs_days: Option<u32>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { logs_days: 30, artifacts_days: 14, registry_images_days: 30, jobs_days: None }
    }
}

/// Where jobs run if the executor is a Kubernetes cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kubernetes {
    /// The namespace of the pods.
    pub namespace: String,
    /// The image in which danubefiles run; none: the one of this release.
    pub coordinator_image: Option<String>,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self { namespace: "danube-jobs".to_owned(), coordinator_image: None }
    }
}

/// Traces and metrics that are sent elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observability {
    /// An OpenTelemetry collector; none: nothing is sent.
    pub otel_endpoint: Option<String>,
    /// Metrics are sent.
    pub metrics_enabled: bool,
    /// Traces are sent.
    pub traces_enabled: bool,
    /// The part of traces that is sent, 0 to 1.
    pub trace_sample_ratio: f64,
}

impl Default for Observability {
    fn default() -> Self {
        Self { otel_endpoint: None, metrics_enabled: true, traces_enabled: true, trace_sample_ratio: 1.0 }
    }
}

/// One entry of `git_authentication`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitAuth {
    /// Its name.
    pub name: String,
    /// Globs over repository addresses.
    pub match_patterns: Vec<String>,
    /// The credential.
    pub method: GitAuthMethod,
}

/// How a repository is opened. Secrets are named, never contained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum GitAuthMethod {
    /// A GitHub App's installation.
    GithubApp {
        /// The app.
        app_id: u64,
        /// Its installation.
        installation_id: u64,
        /// The secret that holds its private key.
        private_key_secret: String,
    },
    /// A GitLab token.
    GitlabToken {
        /// The instance.
        url: String,
        /// The secret that holds the token.
        token_secret: String,
    },
    /// An SSH key, on the machine or in a secret.
    SshKey {
        /// A file on the machine.
        private_key_path: Option<String>,
        /// A secret.
        private_key_secret: Option<String>,
    },
    /// A token for HTTPS.
    HttpsToken {
        /// The user name that goes with it.
        username: String,
        /// The secret that holds the token.
        token_secret: String,
    },
}

/// One entry of `webhooks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// The last part of the URL; `default` where the URL has none.
    pub name: String,
    /// github, gitlab, gitea, forgejo, bitbucket.
    pub forge: String,
    /// The Danube secret that signs.
    pub secret: String,
    /// The one before it, during a rotation.
    pub previous_secret: Option<String>,
}

/// A `User` document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// `metadata.name`.
    pub name: String,
    /// The address with which people log in.
    pub email: String,
    /// bcrypt; none: this user logs in through the identity provider only.
    pub password_hash: Option<String>,
}

/// A `Team` document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    /// `metadata.name`.
    pub name: String,
    /// Addresses.
    pub members: Vec<String>,
    /// Addresses of members who also administer the team's pipelines.
    pub admins: Vec<String>,
    /// Its members may do everything.
    pub global_admin: bool,
}

/// What a team may do with a pipeline, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// See.
    Read,
    /// See, start, stop.
    Write,
    /// All of it, with its secrets.
    Admin,
}

impl Level {
    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// Reads a stored word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Read, Self::Write, Self::Admin].into_iter().find(|l| l.as_str() == text)
    }
}

/// A `Pipeline` document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    /// `metadata.name`.
    pub name: String,
    /// The owning team.
    pub team: String,
    /// The address of the built repository.
    pub repository: String,
    /// Globs; empty: every branch.
    pub branch_filter: Vec<String>,
    /// What starts it.
    pub triggers: Vec<TriggerRule>,
    /// Globs over changed files; empty: every push.
    pub paths: Vec<String>,
    /// The danubefile.
    pub script: String,
    /// The longest a job may run.
    pub max_duration_seconds: u64,
    /// The size of a job's workspace.
    pub workspace_size_gb: u32,
    /// Capabilities that its steps may ask for, such as `SETFCAP`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caps: Vec<String>,
    /// Further teams.
    pub permissions: Vec<Permission>,
    /// DNS names; none: the default of `Config`.
    pub egress_allowlist: Option<Vec<String>>,
    /// How its jobs share the machine.
    pub concurrency: Concurrency,
    /// Attempts at a job that infrastructure loses.
    pub attempts: u32,
    /// What its jobs may read.
    pub secrets: Vec<SecretGrant>,
    /// What a manual start may say; every other start takes the defaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// Globs: the branches whose jobs write the caches that every job of the pipeline reads.
    #[serde(default = "usual_branches", skip_serializing_if = "are_usual")]
    pub protected_branches: Vec<String>,
}

/// What people call the main branch.
pub fn usual_branches() -> Vec<String> {
    ["main", "master"].map(str::to_owned).to_vec()
}

fn are_usual(branches: &[String]) -> bool {
    branches == usual_branches()
}

/// One entry of `triggers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "on", rename_all = "snake_case")]
pub enum TriggerRule {
    /// A branch moved.
    Push,
    /// A tag was made.
    Tag,
    /// A pull request was opened or moved.
    PullRequest,
    /// A person or token asks.
    Manual,
    /// A schedule.
    Cron {
        /// Five fields.
        schedule: String,
        /// A zone of the IANA database; UTC where absent.
        timezone: Option<String>,
        /// The branch that is built.
        branch: String,
    },
}

/// One entry of `permissions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// The team.
    pub team: String,
    /// What it may do.
    pub level: Level,
}

/// How jobs of a pipeline share the machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Concurrency {
    /// Jobs of one group run one at a time; none: no group. `{branch}` stands for the branch.
    pub group: Option<String>,
    /// A new job of the group cancels the older ones that wait or run.
    pub cancel_superseded: bool,
    /// Jobs of the pipeline that run at once; none: the global limit alone.
    pub max_running: Option<u32>,
}

/// One entry of a pipeline's `secrets`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretGrant {
    /// The secret's key.
    pub key: String,
    /// Globs over branches; empty: every branch.
    pub branches: Vec<String>,
    /// `reveal()` is allowed.
    pub reveal: bool,
}
