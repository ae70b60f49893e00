//! What people write: the shape of each kind, from which the JSON Schemas are made.
//!
//! A required field is an `Option` with `schemars(required)`: the shape check reports its absence,
//! and the checks that follow still see the rest of the document.
use schemars::JsonSchema;
use serde::Deserialize;

mod config;
mod items;
mod people;
mod pipeline;

pub(super) use config::{ConfigSpec, GitAuthEntry, GitAuthType, RegistryEntry, WebhookEntry};
pub(super) use items::Items;
pub(super) use people::{TeamSpec, UserSpec};
pub(super) use pipeline::{
    CapabilityName, EventName, ParamEntry, PermissionEntry, PipelineMetadata, PipelineSpec, SecretEntry, TriggerEntry,
};

/// The version of the format.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(super) enum ApiVersion {
    /// The only one there is.
    #[serde(rename = "danube.dev/v1")]
    V1,
}

/// `metadata` of every kind but `Pipeline`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Metadata {
    /// The name, by which other documents refer to this one.
    #[schemars(required)]
    pub(super) name: Option<String>,
}

/// One document: what it is, what it is called, what it says.
macro_rules! document {
    ($(#[$doc:meta])* $name:ident, $kind:ident = $word:ident, $metadata:ty, $spec:ty) => {
        #[doc = concat!("The `kind` of a ", stringify!($word), " document.")]
        #[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
        pub(super) enum $kind {
            #[doc = concat!("The document declares a ", stringify!($word), ".")]
            $word,
        }

        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            /// The version of the format: danube.dev/v1.
            #[serde(rename = "apiVersion")]
            #[schemars(required)]
            #[expect(dead_code, reason = "its presence is checked by the schema")]
            pub(super) api_version: Option<ApiVersion>,
            /// What the document declares.
            #[schemars(required)]
            #[expect(dead_code, reason = "chose this schema")]
            pub(super) kind: Option<$kind>,
            /// What it is called.
            #[schemars(required)]
            pub(super) metadata: Option<$metadata>,
            /// What it says.
            #[schemars(required)]
            pub(super) spec: Option<$spec>,
        }
    };
}

document! {
    /// Settings of the whole installation: one document, named `global`.
    ConfigDocument, ConfigKind = Config, Metadata, ConfigSpec
}
document! {
    /// A person who may log in.
    UserDocument, UserKind = User, Metadata, UserSpec
}
document! {
    /// A group of people with the same rights.
    TeamDocument, TeamKind = Team, Metadata, TeamSpec
}
document! {
    /// A named build of one repository.
    PipelineDocument, PipelineKind = Pipeline, PipelineMetadata, PipelineSpec
}
