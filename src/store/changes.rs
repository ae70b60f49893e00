//! What one config commit changed, field by field: computed when it is applied, kept with it. Pure.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Fields that are kept of one commit; the rest is counted.
const MOST: usize = 400;
/// Characters of a value that are kept.
const LONGEST: usize = 200;
/// Fields whose values are nobody's business, though they are no secrets in the clear.
const HIDDEN: [&str; 1] = ["password_hash"];

/// One field of one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "ConfigChange")]
pub struct Field {
    /// `config`, `user`, `team`, `pipeline`.
    pub kind: String,
    /// The document's name; empty for `config`.
    pub name: String,
    /// The field, `concurrency.group`.
    pub field: String,
    /// What it was; none: it was not there.
    pub before: Option<String>,
    /// What it is; none: it is gone.
    pub after: Option<String>,
}

/// The fields that differ between documents that were there before and still are. Cut after many.
pub(super) fn fields(
    kind: &str,
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
    found: &mut Vec<Field>,
) {
    for (name, new) in after {
        let Some(old) = before.get(name) else { continue };
        let mut differ = Differ { kind, name, found };
        differ.compare("", Some(old), Some(new));
    }
}

struct Differ<'a> {
    kind: &'a str,
    name: &'a str,
    found: &'a mut Vec<Field>,
}

impl Differ<'_> {
    fn compare(&mut self, path: &str, before: Option<&Value>, after: Option<&Value>) {
        if before == after {
            return;
        }
        match (before, after) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => {
                let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
                for key in keys {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    self.compare(&path, old.get(key), new.get(key));
                }
            }
            // The order of a list says nothing here, and a line that moved would look like many changes.
            (Some(Value::Array(old)), Some(Value::Array(new))) => {
                for gone in old.iter().filter(|value| !new.contains(value)) {
                    self.note(path, Some(gone), None);
                }
                for come in new.iter().filter(|value| !old.contains(value)) {
                    self.note(path, None, Some(come));
                }
            }
            _ => self.note(path, before, after),
        }
    }

    fn note(&mut self, path: &str, before: Option<&Value>, after: Option<&Value>) {
        if self.found.len() >= MOST {
            return;
        }
        let hidden = HIDDEN.iter().any(|field| path.ends_with(field));
        let text = |value: Option<&Value>| {
            let text = shown(value.filter(|value| !value.is_null())?);
            // An address that carries a user may carry a password too.
            let private = hidden || (text.contains("://") && text.contains('@'));
            Some(if private { "(not shown)".to_owned() } else { text })
        };
        self.found.push(Field {
            kind: self.kind.to_owned(),
            name: self.name.to_owned(),
            field: path.to_owned(),
            before: text(before),
            after: text(after),
        });
    }
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut cut: String = text.chars().take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn differ(before: Value, after: Value) -> Vec<(String, Option<String>, Option<String>)> {
        let map = |value| BTreeMap::from([("web".to_owned(), value)]);
        let mut found = Vec::new();
        fields("pipeline", &map(before), &map(after), &mut found);
        found.into_iter().map(|field| (field.field, field.before, field.after)).collect()
    }

    #[test]
    fn a_changed_field_is_named_with_what_it_was_and_is() {
        let text = |text: &str| Some(text.to_owned());
        let before = json!({"attempts": 1, "concurrency": {"group": null}, "paths": ["a", "b"], "script": "x"});
        let after = json!({"attempts": 3, "concurrency": {"group": "deploy"}, "paths": ["b", "c"], "script": "x"});
        let expected = [
            ("attempts".to_owned(), text("1"), text("3")),
            ("concurrency.group".to_owned(), None, text("deploy")),
            ("paths".to_owned(), text("a"), None),
            ("paths".to_owned(), None, text("c")),
        ];
        assert_eq!(differ(before, after), expected);
    }

    #[test]
    fn the_hash_of_a_password_is_not_shown_and_long_values_are_cut() {
        let found = differ(json!({"password_hash": "$2b$04$aaa"}), json!({"password_hash": "$2b$04$bbb"}));
        assert!(!format!("{found:?}").contains("$2b$"));
        assert_eq!(found.len(), 1);
        let found = differ(json!({"a": "x".repeat(5000)}), json!({"a": "y"}));
        assert!(found[0].1.as_ref().unwrap().chars().count() <= LONGEST + 1);
    }
}
