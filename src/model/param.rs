//! What a manual start may say: declared params, and the values that a start gives for them.
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::nearest;

/// The most params of one pipeline.
pub const MAX_PARAMS: usize = 64;
/// The longest value, in bytes.
pub const MAX_VALUE: usize = 4096;

/// One entry of a pipeline's `params`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param {
    /// Its name: the key in `ctx.params`.
    pub name: String,
    /// What values it takes.
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// The values of a choice, in the order of the document; empty for every other type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The value where none is given; none exactly where one must be given.
    pub default: Option<String>,
    /// What it is for, for people.
    #[serde(default)]
    pub description: String,
}

/// What values a param takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParamType {
    /// Any text.
    #[default]
    String,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// One of a list.
    Choice,
}

impl ParamType {
    /// The stored and shown word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Choice => "choice",
        }
    }
}

impl Param {
    /// A start must give a value.
    pub const fn is_required(&self) -> bool {
        self.default.is_none()
    }

    /// A value as it is recorded, or what is wrong with it and what is allowed.
    pub fn value(&self, given: &str) -> Result<String, String> {
        let shown = shown(given);
        match self.kind {
            ParamType::String if given.len() > MAX_VALUE => Err(format!("it has more than {MAX_VALUE} bytes")),
            ParamType::String if given.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) => {
                Err("it contains a control character".to_owned())
            }
            ParamType::String if given.is_empty() && self.is_required() => Err("it must not be empty".to_owned()),
            ParamType::String => Ok(given.to_owned()),
            ParamType::Boolean if matches!(given, "true" | "false") => Ok(given.to_owned()),
            ParamType::Boolean => Err(format!("'{shown}' is not a boolean: give true or false")),
            ParamType::Integer => match given.parse::<i64>() {
                Ok(number) => Ok(number.to_string()),
                Err(_) => Err(format!("'{shown}' is not a whole number: give one such as 3 or -1")),
            },
            ParamType::Choice if self.choices.iter().any(|choice| choice == given) => Ok(given.to_owned()),
            ParamType::Choice => {
                Err(format!("'{shown}' is not one of its choices: give one of {}", self.choices.join(", ")))
            }
        }
    }
}

/// One wrong value of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadParam {
    /// The name that was given, or that is missing.
    pub name: String,
    /// What is wrong and what is allowed.
    pub reason: String,
}

/// Everything that is wrong with the values of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadParams(pub Vec<BadParam>);

impl std::error::Error for BadParams {}

impl fmt::Display for BadParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, BadParam { name, reason }) in self.0.iter().enumerate() {
            let pause = if index == 0 { "" } else { "; " };
            write!(f, "{pause}param '{}': {reason}", shown(name))?;
        }
        Ok(())
    }
}

/// The values of a job: what is given, checked, and the defaults of the rest.
pub fn fill(declared: &[Param], given: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, BadParams> {
    let mut bad = Vec::new();
    let mut wrong = |name: &str, reason: String| bad.push(BadParam { name: name.to_owned(), reason });
    let names = || declared.iter().map(|param| param.name.as_str());
    for name in given.keys().filter(|name| names().all(|known| known != name.as_str())).take(MAX_PARAMS) {
        let known = names().collect::<Vec<_>>().join(", ");
        let near = if name.len() <= 128 { nearest(name, names()) } else { None };
        wrong(
            name,
            match near {
                _ if declared.is_empty() => {
                    "the pipeline declares no params; declare it under `params` of its document first".to_owned()
                }
                Some(near) => format!("the pipeline has no such param, did you mean '{near}'? It has {known}"),
                None => format!("the pipeline has no such param; it has {known}"),
            },
        );
    }
    let mut values = BTreeMap::new();
    for param in declared {
        let value = match (given.get(&param.name), &param.default) {
            (Some(text), _) => param.value(text),
            (None, Some(default)) => Ok(default.clone()),
            (None, None) => Err(match param.kind {
                ParamType::Choice => format!("a value must be given: one of {}", param.choices.join(", ")),
                ParamType::Boolean => "a value must be given: true or false".to_owned(),
                ParamType::Integer => "a value must be given: a whole number".to_owned(),
                ParamType::String => "a value must be given".to_owned(),
            }),
        };
        match value {
            Ok(value) => drop(values.insert(param.name.clone(), value)),
            Err(reason) => wrong(&param.name, reason),
        }
    }
    if bad.is_empty() { Ok(values) } else { Err(BadParams(bad)) }
}

/// A value as a message may show it: one line, not long.
fn shown(value: &str) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut text: String = value.chars().take(80).map(clean).collect();
    if value.chars().nth(80).is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn param(name: &str, kind: ParamType, default: Option<&str>) -> Param {
        let choices =
            if kind == ParamType::Choice { vec!["staging".to_owned(), "production".to_owned()] } else { vec![] };
        Param { name: name.into(), kind, choices, default: default.map(str::to_owned), description: String::new() }
    }

    fn declared() -> Vec<Param> {
        vec![
            param("target", ParamType::Choice, Some("staging")),
            param("dry_run", ParamType::Boolean, Some("false")),
            param("count", ParamType::Integer, Some("3")),
            param("note", ParamType::String, None),
        ]
    }

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        let values = fill(&declared(), &given(&[("note", "hello"), ("count", "007"), ("dry_run", "true")])).unwrap();
        assert_eq!(values, given(&[("target", "staging"), ("dry_run", "true"), ("count", "7"), ("note", "hello")]));
        assert!(fill(&[], &given(&[])).unwrap().is_empty());
    }

    #[test]
    fn every_wrong_value_is_told_with_what_is_allowed() {
        let wrong = given(&[("target", "prod\n"), ("dry_run", "yes"), ("count", "3.5"), ("traget", "staging")]);
        let told = fill(&declared(), &wrong).unwrap_err().to_string();
        for part in [
            "param 'traget': the pipeline has no such param, did you mean 'target'? It has target, dry_run, count, note",
            "param 'target': 'prod\u{fffd}' is not one of its choices: give one of staging, production",
            "param 'dry_run': 'yes' is not a boolean: give true or false",
            "param 'count': '3.5' is not a whole number",
            "param 'note': a value must be given",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let told = fill(&[], &given(&[("x", "1")])).unwrap_err().to_string();
        assert!(told.contains("declares no params"), "{told}");
        for bad in ["", "a\x1b[31m", &"x".repeat(MAX_VALUE + 1)] {
            assert!(fill(&declared(), &given(&[("note", bad)])).is_err());
        }
    }

    #[test]
    fn a_pipeline_recorded_before_there_were_params_reads_without_them() {
        let text = r#"{"name":"a","type":"string","default":"x"}"#;
        assert_eq!(serde_json::from_str::<Param>(text).unwrap(), param("a", ParamType::String, Some("x")));
    }

    proptest! {
        #[test]
        fn a_recorded_value_is_accepted_again_as_it_is(count in any::<String>(), note in ".{1,40}") {
            if let Ok(values) = fill(&declared(), &given(&[("count", &count), ("note", &note)])) {
                prop_assert_eq!(fill(&declared(), &values).unwrap(), values);
            }
        }
    }
}
