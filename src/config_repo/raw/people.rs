//! `kind: User` and `kind: Team`.
use schemars::JsonSchema;
use serde::Deserialize;

use super::Items;

/// A person who may log in.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserSpec {
    /// The address with which the person logs in.
    #[schemars(required)]
    pub(crate) email: Option<String>,
    /// A bcrypt hash, made by `danube user hash-password`; absent: only the identity provider
    /// lets this person in.
    pub(crate) password_hash: Option<String>,
}

/// A group of people with the same rights.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TeamSpec {
    /// E-mail addresses of users.
    pub(crate) members: Option<Items<String>>,
    /// E-mail addresses of users who administer the team's pipelines; they are members too.
    pub(crate) admins: Option<Items<String>>,
    /// Its members may do everything (false).
    pub(crate) global_admin: Option<bool>,
}
