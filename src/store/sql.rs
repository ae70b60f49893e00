//! How the words of the product become columns and back.
use std::cell::Cell;
use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Type, ValueRef};
use rusqlite::{Row, Statement};

use super::StoreError;
use crate::model::job::{FailureKind, Status};
use crate::model::settings::Level;
use crate::model::step::{Cause, StepStatus};
use crate::model::test::TestStatus;
use crate::model::trigger::{RepoEvent, Trigger};
use crate::model::{
    ArtifactId, DeliveryId, JobId, LeaseId, PipelineId, SecretId, SessionId, StepId, TeamId, TokenId, UserId,
};

/// A struct that a row of its table fills, by column names.
pub(super) trait FromRow: Sized {
    /// Reads the current row.
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self>;
}

/// The columns of a row by name. Structs name them in the table's order, so each is looked for first
/// behind the one before: a search from the start would take half the time of every list.
pub(super) struct Fields<'r, 's> {
    row: &'r Row<'s>,
    next: Cell<usize>,
}

impl<'r, 's> Fields<'r, 's> {
    pub(super) const fn new(row: &'r Row<'s>) -> Self {
        Self { row, next: Cell::new(0) }
    }

    pub(super) fn get<T: FromSql>(&self, name: &str) -> rusqlite::Result<T> {
        self.row.get(self.index(name)?)
    }

    fn index(&self, name: &str) -> rusqlite::Result<usize> {
        let statement: &Statement<'_> = self.row.as_ref();
        let count = statement.column_count();
        for place in (0..count).map(|n| (self.next.get() + n) % count) {
            if statement.column_name(place)? == name {
                self.next.set(place + 1);
                return Ok(place);
            }
        }
        Err(rusqlite::Error::InvalidColumnName(name.to_owned()))
    }
}

/// A type that one column fills.
pub(super) trait Column: Sized {
    /// Reads the column of that name.
    fn take(fields: &Fields<'_, '_>, name: &str) -> rusqlite::Result<Self>;
}

macro_rules! plain_column {
    ($($t:ty),* $(,)?) => {$(
        impl Column for $t {
            fn take(fields: &Fields<'_, '_>, name: &str) -> rusqlite::Result<Self> {
                fields.get(name)
            }
        }
        impl Column for Option<$t> {
            fn take(fields: &Fields<'_, '_>, name: &str) -> rusqlite::Result<Self> {
                fields.get(name)
            }
        }
    )*};
}

macro_rules! parsed_column {
    ($($t:ty),* $(,)?) => {$(
        impl ToSql for $t {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.to_string()))
            }
        }
        impl FromSql for $t {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_str()?.parse().map_err(FromSqlError::other)
            }
        }
        plain_column!($t);
    )*};
}

/// A stored word that this release does not know.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not a known {1}")]
struct UnknownWord(String, &'static str);

macro_rules! word_column {
    ($($t:ty = $kind:literal, $parse:expr;)*) => {$(
        impl ToSql for $t {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.as_str()))
            }
        }
        impl FromSql for $t {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let word = value.as_str()?;
                let parse: fn(&str) -> Option<$t> = $parse;
                parse(word).ok_or_else(|| unknown_word(word, $kind))
            }
        }
        plain_column!($t);
    )*};
}

/// Defines an enum of stored words.
macro_rules! words {
    ($(#[$doc:meta])* pub enum $name:ident = $kind:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// The stored word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Reads a stored word.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        $crate::store::sql::stored_word!($name = $kind);
    };
}
pub(super) use words;

/// Makes a type with `as_str` and `parse` a column.
macro_rules! stored_word {
    ($name:ident = $kind:literal) => {
        impl rusqlite::types::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                Ok(rusqlite::types::ToSqlOutput::from(self.as_str()))
            }
        }
        impl rusqlite::types::FromSql for $name {
            fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
                let word = value.as_str()?;
                Self::parse(word).ok_or_else(|| $crate::store::sql::unknown_word(word, $kind))
            }
        }
        impl $crate::store::sql::Column for $name {
            fn take(fields: &$crate::store::sql::Fields<'_, '_>, name: &str) -> rusqlite::Result<Self> {
                fields.get(name)
            }
        }
        impl $crate::store::sql::Column for Option<$name> {
            fn take(fields: &$crate::store::sql::Fields<'_, '_>, name: &str) -> rusqlite::Result<Self> {
                fields.get(name)
            }
        }
    };
}
pub(super) use stored_word;

/// The error for a stored word that this release does not know.
pub(super) fn unknown_word(word: &str, kind: &'static str) -> FromSqlError {
    FromSqlError::other(UnknownWord(word.to_owned(), kind))
}

parsed_column!(
    Status, JobId, StepId, PipelineId, TeamId, UserId, SecretId, ArtifactId, LeaseId, DeliveryId, SessionId, TokenId,
);
word_column! {
    FailureKind = "kind of failure", |word| {
        [FailureKind::Pipeline, FailureKind::Configuration, FailureKind::Infrastructure]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    };
    Trigger = "trigger", Trigger::parse;
    RepoEvent = "event", RepoEvent::parse;
    StepStatus = "step status", StepStatus::parse;
    Cause = "cause", Cause::parse;
    TestStatus = "status of a test", TestStatus::parse;
    Level = "level", Level::parse;
}
plain_column!(String, Vec<u8>, i64, i32, u32, bool);

impl Column for u64 {
    fn take(fields: &Fields<'_, '_>, name: &str) -> rusqlite::Result<Self> {
        let value: i64 = fields.get(name)?;
        Self::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, value))
    }
}

impl Column for Option<u64> {
    fn take(fields: &Fields<'_, '_>, name: &str) -> rusqlite::Result<Self> {
        let Some(value) = fields.get::<Option<i64>>(name)? else { return Ok(None) };
        u64::try_from(value).map(Some).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, value))
    }
}

impl Column for Timestamp {
    fn take(fields: &Fields<'_, '_>, name: &str) -> rusqlite::Result<Self> {
        from_micros(fields.get(name)?)
    }
}

impl Column for Option<Timestamp> {
    fn take(fields: &Fields<'_, '_>, name: &str) -> rusqlite::Result<Self> {
        fields.get::<Option<i64>>(name)?.map(from_micros).transpose()
    }
}

impl Column for BTreeMap<String, String> {
    fn take(fields: &Fields<'_, '_>, name: &str) -> rusqlite::Result<Self> {
        json_column(fields, name)
    }
}

impl Column for Vec<String> {
    fn take(fields: &Fields<'_, '_>, name: &str) -> rusqlite::Result<Self> {
        json_column(fields, name)
    }
}

fn json_column<T: serde::de::DeserializeOwned>(fields: &Fields<'_, '_>, name: &str) -> rusqlite::Result<T> {
    let text: String = fields.get(name)?;
    serde_json::from_str(&text)
        .map_err(|source| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(source)))
}

fn from_micros(micros: i64) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(micros)
        .map_err(|source| rusqlite::Error::FromSqlConversionFailure(0, Type::Integer, Box::new(source)))
}

/// A time as it is stored.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A count or size as it is stored; beyond SQLite's integers it stays at their end.
pub(super) fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A value as JSON text.
pub(super) fn to_json<T: serde::Serialize>(what: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::corrupt(what, source))
}

/// JSON text as a value.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::corrupt(what, source))
}

/// Defines the struct of a table's row and how it is read.
macro_rules! row {
    ($(#[$doc:meta])* $vis:vis struct $name:ident { $($(#[$fdoc:meta])* pub $field:ident: $t:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $name { $($(#[$fdoc])* pub $field: $t,)* }

        impl $crate::store::sql::FromRow for $name {
            fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
                let fields = $crate::store::sql::Fields::new(row);
                Ok(Self { $($field: $crate::store::sql::Column::take(&fields, stringify!($field))?,)* })
            }
        }
    };
}
pub(super) use row;
