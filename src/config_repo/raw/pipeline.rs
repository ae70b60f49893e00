//! `kind: Pipeline`.
use schemars::JsonSchema;
use serde::Deserialize;

use super::Items;
use crate::model::settings::{Level, ParamType};

/// What a pipeline is called and whose it is.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PipelineMetadata {
    /// The name, as in addresses and on the command line.
    #[schemars(required)]
    pub(crate) name: Option<String>,
    /// The team that owns the pipeline and administers it.
    #[schemars(required)]
    pub(crate) team: Option<String>,
}

/// A named build of one repository.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PipelineSpec {
    /// The address of the built repository.
    #[schemars(required)]
    pub(crate) repository: Option<String>,
    /// Globs over branches; absent: every branch.
    pub(crate) branch_filter: Option<Items<String>>,
    /// What starts the pipeline; absent: only people and tokens.
    pub(crate) triggers: Option<Items<TriggerEntry>>,
    /// Globs over changed files; absent: every push.
    pub(crate) paths: Option<Items<String>>,
    /// The danubefile, a path in the built repository (danubefile.py).
    pub(crate) script: Option<String>,
    /// The longest a job may run, in seconds (3600).
    #[schemars(range(min = 1, max = 604800))]
    pub(crate) max_duration_seconds: Option<u64>,
    /// The size of a job's workspace, in gigabytes (5).
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) workspace_size_gb: Option<u32>,
    /// Capabilities that steps may ask for by `caps=`, beside the usual ones; the server must allow each, too.
    pub(crate) caps: Option<Items<CapabilityName>>,
    /// What further teams may do.
    pub(crate) permissions: Option<Items<PermissionEntry>>,
    /// DNS names that jobs may reach, instead of the default of `Config`; each must be covered there.
    pub(crate) egress_allowlist: Option<Items<String>>,
    /// How the pipeline's jobs share the machine.
    pub(crate) concurrency: Option<PipelineConcurrencyEntry>,
    /// Attempts at a job that infrastructure loses (3).
    #[schemars(range(min = 1, max = 10))]
    pub(crate) attempts: Option<u32>,
    /// What the pipeline's jobs may read.
    pub(crate) secrets: Option<Items<SecretEntry>>,
    /// What a manual start may say, as `ctx.params`; every other start takes the defaults.
    pub(crate) params: Option<Items<ParamEntry>>,
    /// Globs: the branches whose jobs write the caches that every job reads (main, master).
    pub(crate) protected_branches: Option<Items<String>>,
}

/// A capability that a step may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum CapabilityName {
    /// Files may be given capabilities, as some packages of distributions are.
    Setfcap,
}

/// Something that starts the pipeline.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TriggerEntry {
    /// What happens.
    #[schemars(required)]
    pub(crate) on: Option<EventName>,
    /// cron: minute, hour, day of month, month, day of week.
    pub(crate) schedule: Option<String>,
    /// cron: a zone such as Europe/Vienna (UTC).
    pub(crate) timezone: Option<String>,
    /// cron: the branch that is built (main).
    pub(crate) branch: Option<String>,
}

/// What starts a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventName {
    /// A branch moved.
    Push,
    /// A tag was made.
    Tag,
    /// A pull request was opened or moved.
    PullRequest,
    /// A person or token asks.
    Manual,
    /// A schedule.
    Cron,
}

/// What a further team may do.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PermissionEntry {
    /// The team.
    #[schemars(required)]
    pub(crate) team: Option<String>,
    /// What it may do.
    #[schemars(required)]
    pub(crate) level: Option<Level>,
}

/// How the pipeline's jobs share the machine.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PipelineConcurrencyEntry {
    /// Jobs of one group run one at a time; `{branch}` stands for the branch.
    pub(crate) group: Option<String>,
    /// A new job of the group cancels the older ones (false).
    pub(crate) cancel_superseded: Option<bool>,
    /// Jobs of the pipeline that run at once.
    #[schemars(range(min = 1, max = 10000))]
    pub(crate) max_running: Option<u32>,
}

/// A secret that jobs may read.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretEntry {
    /// The key of the secret.
    #[schemars(required)]
    pub(crate) key: Option<String>,
    /// Globs over branches; absent: every branch.
    pub(crate) branches: Option<Items<String>>,
    /// The danubefile may read the plain value by `reveal()` (false).
    pub(crate) reveal: Option<bool>,
}

/// Something that a manual start may say.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParamEntry {
    /// The key in `ctx.params`.
    #[schemars(required)]
    pub(crate) name: Option<String>,
    /// What values it takes (string).
    #[serde(rename = "type")]
    pub(crate) kind: Option<ParamType>,
    /// choice: the values that are allowed.
    pub(crate) choices: Option<Items<String>>,
    /// The value where none is given (empty, false, the first choice; an integer has none).
    pub(crate) default: Option<String>,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// A start must give a value (false).
    pub(crate) required: Option<bool>,
}
