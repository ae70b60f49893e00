//! Values by precedence: flag, environment, danube.toml, config repo, default.
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Form, KEYS, Key};
use super::{ConfigError, Problem, Setting, Sources};
use crate::model::nearest;

/// The largest danube.toml, bytes.
const MAX_FILE: usize = 1 << 20;
/// Parts the items of a list; lists in the environment are written with commas.
const COMMA: char = ',';

/// A value as text, and where it came from.
#[derive(Debug, Clone)]
struct Found {
    text: String,
    origin: String,
}

/// The strongest value of each key, and the mistakes so far.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// What is said of a key that is nowhere: the file, or that there is none.
    file: String,
    found: BTreeMap<&'static str, Found>,
    problems: Vec<Problem>,
}

impl Layers {
    /// Weakest first, so that a stronger value replaces a weaker one.
    pub(super) fn gather(sources: &Sources) -> Result<Self, ConfigError> {
        let file = sources
            .file
            .as_ref()
            .map_or_else(|| format!("there is no {}", super::DEFAULT_FILE), |(path, _)| path.display().to_string());
        let mut layers = Self { file, ..Self::default() };
        for key in KEYS {
            if let Some(text) = key.default {
                layers.set(key, text.to_owned(), "default".to_owned());
            }
        }
        for (name, text) in &sources.config_repo {
            if let Some(key) = keys::find(&format!("server.{name}")) {
                layers.set(key, text.clone(), "config repo".to_owned());
            }
        }
        if let Some((path, text)) = &sources.file {
            layers.file(path, text)?;
        }
        layers.environment(&sources.env);
        for (name, text) in &sources.flags {
            if let Some(key) = keys::find(name) {
                layers.set(key, text.clone(), "flag".to_owned());
            }
        }
        Ok(layers)
    }

    fn set(&mut self, key: &'static Key, text: String, origin: String) {
        self.found.insert(key.name, Found { text, origin });
    }

    fn problem(&mut self, origin: String, key: &str, message: String, expected: String) {
        self.problems.push(Problem { origin, key: key.to_owned(), message, expected });
    }

    fn environment(&mut self, env: &BTreeMap<String, String>) {
        let variables: Vec<(String, &'static Key)> = KEYS.iter().map(|key| (keys::variable(key), key)).collect();
        for (name, text) in env.iter().filter(|(name, _)| is_setting(name)) {
            match variables.iter().find(|(variable, _)| variable == name) {
                Some((_, key)) => self.set(key, text.clone(), format!("environment {name}")),
                None => {
                    let near = nearest(name, variables.iter().map(|(variable, _)| variable.as_str()));
                    let expected =
                        near.map_or("no key has this name".to_owned(), |near| format!("did you mean {near}?"));
                    self.problem("environment".to_owned(), name, "unknown variable".to_owned(), expected);
                }
            }
        }
        if let Some(level) = env.get("DANUBE_LOG")
            && let Some(key) = keys::find("log.level")
        {
            self.set(key, level.clone(), "environment DANUBE_LOG".to_owned());
        }
    }

    fn file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let file = Source { path, text };
        let refuse = |origin: String, message: String, expected: &str| {
            let expected = expected.to_owned();
            Err(ConfigError::Invalid(vec![Problem { origin, key: "the file".to_owned(), message, expected }]))
        };
        if text.len() > MAX_FILE {
            return refuse(file.at(&(0..0)), "it is too large".to_owned(), "expected at most 1 MiB");
        }
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(error) => {
                let origin = file.at(&error.span().unwrap_or(0..0));
                return refuse(origin, error.message().to_owned(), "expected valid TOML");
            }
        };
        self.table(&file, "", table.get_ref());
        Ok(())
    }

    fn table(&mut self, file: &Source<'_>, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let full =
                if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
            let below = format!("{full}.");
            match (keys::find(&full), value.get_ref()) {
                (Some(key), _) => self.value(file, key, value),
                (None, DeValue::Table(inner)) if KEYS.iter().any(|key| key.name.starts_with(&below)) => {
                    self.table(file, &full, inner);
                }
                (None, _) => self.unknown(file, &full, &name.span()),
            }
        }
    }

    fn unknown(&mut self, file: &Source<'_>, full: &str, span: &Range<usize>) {
        let shown: String = full.chars().take(100).collect();
        // A mistyped section is nearer to a section than to any key.
        let sections = ["config_repo", "server", "executor", "executor.limits", "registry", "log"];
        let near = nearest(&shown, KEYS.iter().map(|key| key.name).chain(sections));
        let valid = || {
            let section = full.rsplit_once('.').map_or("", |(section, _)| section);
            let inside = |name: &&str| name.rsplit_once('.').is_some_and(|(of, _)| of == section);
            KEYS.iter().map(|key| key.name).filter(inside).collect::<Vec<_>>().join(", ")
        };
        let expected = match near {
            Some(near) => format!("did you mean {near}?"),
            None if valid().is_empty() => format!("expected one of the sections {}", sections.join(", ")),
            None => format!("expected one of {}", valid()),
        };
        self.problem(file.at(span), &shown, "unknown key".to_owned(), expected);
    }

    fn value(&mut self, file: &Source<'_>, key: &'static Key, value: &Spanned<DeValue<'_>>) {
        let text = match (key.form, value.get_ref()) {
            (Form::Text, DeValue::String(text)) => Some(text.to_string()),
            (Form::Flag, DeValue::Boolean(flag)) => Some(flag.to_string()),
            (Form::Number, DeValue::Integer(number)) => Some(number.to_string()),
            (Form::Number, DeValue::Float(number)) => Some(number.to_string()),
            (Form::List, DeValue::Array(items)) => {
                let texts = items.iter().map(|item| item.get_ref().as_str().filter(|text| !text.contains(COMMA)));
                texts.collect::<Option<Vec<_>>>().map(|texts| texts.join(","))
            }
            _ => None,
        };
        let origin = file.at(&value.span());
        match text {
            Some(text) => self.set(key, text, origin),
            None => {
                // The weaker value must not seem to be what was asked for.
                self.found.remove(key.name);
                let message = format!("wrong type: {}", value.get_ref().type_str());
                self.problem(origin, key.name, message, key.form.expected().to_owned());
            }
        }
    }

    /// The value of a key that may be absent. Outer none: it is wrong, and that was noted.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        let Some(Found { text, origin }) = self.found.get(name) else {
            // A value of the wrong type was noted and removed.
            return if self.problems.iter().any(|problem| problem.key == name) { None } else { Some(None) };
        };
        if let Some(value) = parse(text) {
            return Some(Some(value));
        }
        let shown: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
        let origin = origin.clone();
        self.problem(origin, name, format!("impossible value '{shown}'"), format!("expected {expected}"));
        None
    }

    /// The value of a key that must be there. None: it is not, and that was noted.
    pub(super) fn required<T>(&mut self, name: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = self.optional(name, expected, parse)?;
        if value.is_none() {
            let variable = keys::find(name).map(keys::variable).unwrap_or_default();
            let expected = format!("expected {expected}, in danube.toml or as {variable}");
            self.problem(self.file.clone(), name, "it is required".to_owned(), expected);
        }
        value
    }

    /// The items of a list.
    pub(super) fn list<T>(&mut self, name: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
        let items = |text: &str| text.split(COMMA).map(str::trim).filter(|item| !item.is_empty()).map(&parse).collect();
        self.optional(name, expected, items).map(Option::unwrap_or_default)
    }

    /// Notes that a value is impossible beside another one.
    pub(super) fn conflict(&mut self, name: &str, message: &str, expected: &str) {
        let origin = self.found.get(name).map_or_else(|| "danube.toml".to_owned(), |found| found.origin.clone());
        self.problem(origin, name, message.to_owned(), expected.to_owned());
    }

    /// Every key with its value and origin.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let setting = |key: &Key| {
            let found = self.found.get(key.name);
            let origin = found.map_or_else(|| "not set".to_owned(), |found| found.origin.clone());
            Setting { key: key.name, value: found.map(|found| found.text.clone()), origin }
        };
        KEYS.iter().map(setting).collect()
    }

    /// The mistakes, those of the file in its order.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        let line = |problem: &Problem| problem.origin.rsplit_once(':').and_then(|(_, line)| line.parse::<u32>().ok());
        self.problems.sort_by_key(line);
        self.problems
    }
}

/// Whether a variable means to set a key. `DANUBE_SECRET_<KEY>` are the secrets of `danube run`.
fn is_setting(name: &str) -> bool {
    let rest = name.strip_prefix("DANUBE_").filter(|_| !name.starts_with("DANUBE_SECRET_"));
    rest.is_some_and(|rest| rest.contains("__"))
}

struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn at(&self, span: &Range<usize>) -> String {
        let before = self.text.as_bytes().iter().take(span.start);
        format!("{}:{}", self.path.display(), before.filter(|byte| **byte == b'\n').count() + 1)
    }
}
