//! `kind: Config`.
use schemars::JsonSchema;
use serde::Deserialize;

use super::Items;

/// Settings of the whole installation.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigSpec {
    /// Read at start; a change needs a restart. danube.toml, environment and flags win over it.
    pub(crate) server: Option<ServerEntry>,
    /// Where jobs run if the executor is a Kubernetes cluster.
    pub(crate) kubernetes: Option<KubernetesEntry>,
    /// How long things are kept.
    pub(crate) retention: Option<RetentionEntry>,
    /// Traces and metrics that are sent elsewhere.
    pub(crate) observability: Option<ObservabilityEntry>,
    /// DNS names that jobs may reach, such as `example.com` or `*.example.com`: the ceiling of
    /// every pipeline and the default of those that say nothing.
    pub(crate) egress_allowlist: Option<Items<String>>,
    /// Which credential opens which repository; the first match wins.
    pub(crate) git_authentication: Option<Items<GitAuthEntry>>,
    /// How registries of images are reached: mirrors, users, registries without TLS.
    pub(crate) registries: Option<Items<RegistryEntry>>,
    /// Which secret signs the deliveries of which forge.
    pub(crate) webhooks: Option<Items<WebhookEntry>>,
    /// How many jobs share the machine.
    pub(crate) concurrency: Option<ConcurrencyEntry>,
}

/// Read at start.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerEntry {
    /// Where the console and API listen, such as 127.0.0.1:8080.
    pub(crate) bind_address: Option<String>,
    /// Where everything is kept: an absolute path.
    pub(crate) data_dir: Option<String>,
}

/// Jobs in a cluster.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KubernetesEntry {
    /// The namespace of the pods (danube-jobs).
    pub(crate) namespace: Option<String>,
    /// The image in which danubefiles run.
    pub(crate) coordinator_image: Option<String>,
}

/// Days that things are kept.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetentionEntry {
    /// Log files (30).
    #[schemars(range(min = 1, max = 36500))]
    pub(crate) logs_days: Option<u32>,
    /// Artifact files (14).
    #[schemars(range(min = 1, max = 36500))]
    pub(crate) artifacts_days: Option<u32>,
    /// Images in the registry (30).
    #[schemars(range(min = 1, max = 36500))]
    pub(crate) registry_images_days: Option<u32>,
    /// Jobs; absent: for ever.
    #[schemars(range(min = 1, max = 36500))]
    pub(crate) jobs_days: Option<u32>,
}

/// Traces and metrics that are sent elsewhere.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObservabilityEntry {
    /// The address of an OpenTelemetry collector; absent: nothing is sent.
    pub(crate) otel_endpoint: Option<String>,
    /// Send metrics (true).
    pub(crate) metrics_enabled: Option<bool>,
    /// Send traces (true).
    pub(crate) traces_enabled: Option<bool>,
    /// The part of traces that is sent, 0 to 1 (1).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) trace_sample_ratio: Option<f64>,
}

/// How many jobs share the machine.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConcurrencyEntry {
    /// Running jobs at once (4).
    #[schemars(range(min = 1, max = 10000))]
    pub(crate) max_running_jobs: Option<u32>,
}

/// A credential and the repositories it opens. Secrets are named, never contained.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GitAuthEntry {
    /// The name of the entry.
    #[schemars(required)]
    pub(crate) name: Option<String>,
    /// Globs over repository addresses, such as `https://git.example.com/**`.
    #[schemars(required)]
    pub(crate) match_patterns: Option<Items<String>>,
    /// The kind of credential.
    #[serde(rename = "type")]
    #[schemars(required)]
    pub(crate) method: Option<GitAuthType>,
    /// github_app: the app.
    #[schemars(range(min = 1))]
    pub(crate) app_id: Option<u64>,
    /// github_app: its installation.
    #[schemars(range(min = 1))]
    pub(crate) installation_id: Option<u64>,
    /// github_app, ssh_key: the secret that holds the private key.
    pub(crate) private_key_secret: Option<String>,
    /// ssh_key: a file on the machine, instead of a secret.
    pub(crate) private_key_path: Option<String>,
    /// gitlab_token: the instance, such as https://gitlab.example.com.
    pub(crate) url: Option<String>,
    /// https_token: the user name that goes with the token.
    pub(crate) username: Option<String>,
    /// gitlab_token, https_token: the secret that holds the token.
    pub(crate) token_secret: Option<String>,
}

/// A kind of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GitAuthType {
    /// An installation of a GitHub App.
    GithubApp,
    /// A GitLab token.
    GitlabToken,
    /// An SSH key.
    SshKey,
    /// A token for HTTPS.
    HttpsToken,
}

/// How a registry of images is reached. Secrets are named, never contained.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegistryEntry {
    /// The registry as the names of images have it, such as registry.example.com:5000; docker.io for short names.
    #[schemars(required)]
    pub(crate) host: Option<String>,
    /// Addresses that are asked before it, in this order, such as https://mirror.example.com/docker.
    pub(crate) mirrors: Option<Items<String>>,
    /// The user there.
    pub(crate) username: Option<String>,
    /// The secret that holds the user's password or token.
    pub(crate) password_secret: Option<String>,
    /// It speaks HTTP without TLS (false).
    pub(crate) plain_http: Option<bool>,
}

/// The secret that signs a forge's deliveries.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookEntry {
    /// The last part of the URL, /webhooks/FORGE/NAME (default).
    pub(crate) name: Option<String>,
    /// Who sends.
    #[schemars(required)]
    pub(crate) forge: Option<ForgeName>,
    /// The Danube secret with which the forge signs.
    #[schemars(required)]
    pub(crate) secret: Option<String>,
    /// The one before it, during a rotation.
    pub(crate) previous_secret: Option<String>,
}

/// A forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ForgeName {
    /// GitHub.
    Github,
    /// GitLab.
    Gitlab,
    /// Gitea.
    Gitea,
    /// Forgejo.
    Forgejo,
    /// Bitbucket.
    Bitbucket,
}

impl ForgeName {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Gitea => "gitea",
            Self::Forgejo => "forgejo",
            Self::Bitbucket => "bitbucket",
        }
    }
}
