//! Ids: UUIDv7 newtypes, sorted by creation, lower case, valid in pod, unit and file names.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a {kind} id (a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057)")]
pub struct ParseIdError {
    kind: &'static str,
    text: String,
}

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Names an id that `platform::Ids` made.
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let wrong = || ParseIdError { kind: $kind, text: text.chars().take(64).collect() };
                // Only the canonical form: one id has one spelling in URLs and on disk.
                let id = Uuid::try_parse(text).map_err(|_| wrong())?;
                if id.as_hyphenated().to_string() == text { Ok(Self(id)) } else { Err(wrong()) }
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "format": "uuid" })
            }
        }
    )*};
}

id! {
    /// A job.
    JobId = "job";
    /// A step attempt's step within a job.
    StepId = "step";
    /// A pipeline; survives changes of its document.
    PipelineId = "pipeline";
    /// A team.
    TeamId = "team";
    /// A user.
    UserId = "user";
    /// A stored secret.
    SecretId = "secret";
    /// An artifact.
    ArtifactId = "artifact";
    /// One claim of a job by a master: the fence of every write of its driver.
    LeaseId = "lease";
    /// An accepted webhook delivery.
    DeliveryId = "delivery";
    /// A browser session.
    SessionId = "session";
    /// An API token.
    TokenId = "token";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_exactly_one_spelling() {
        let text = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(text.parse::<JobId>().unwrap().to_string(), text);
        for wrong in ["", "1", "01890A5D-AC96-774B-BCCE-B302099A8057", "01890a5dac96774bbcceb302099a8057", "../etc"] {
            assert!(wrong.parse::<JobId>().is_err(), "{wrong}");
        }
    }
}
