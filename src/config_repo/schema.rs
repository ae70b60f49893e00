//! The JSON Schema of each kind: published by `danube schema`, and what documents are checked by.
use std::sync::LazyLock;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::raw::{ConfigDocument, PipelineDocument, TeamDocument, UserDocument};

/// What a document declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Settings of the whole installation.
    Config,
    /// A person.
    User,
    /// A group of people.
    Team,
    /// A build.
    Pipeline,
}

impl Kind {
    /// All of them, in the order in which a config repo is read.
    pub const ALL: [Self; 4] = [Self::Config, Self::User, Self::Team, Self::Pipeline];

    /// The word behind `kind:`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "Config",
            Self::User => "User",
            Self::Team => "Team",
            Self::Pipeline => "Pipeline",
        }
    }

    /// Reads the word behind `kind:`.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The JSON Schema (2020-12) of a kind.
pub fn schema(kind: Kind) -> &'static Value {
    static SCHEMAS: LazyLock<[Value; 4]> = LazyLock::new(|| Kind::ALL.map(generate));
    &SCHEMAS[kind as usize]
}

fn generate(kind: Kind) -> Value {
    match kind {
        Kind::Config => of::<ConfigDocument>(),
        Kind::User => of::<UserDocument>(),
        Kind::Team => of::<TeamDocument>(),
        Kind::Pipeline => of::<PipelineDocument>(),
    }
}

fn of<T: JsonSchema>() -> Value {
    // Without references: the shape check walks it as it is.
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}
