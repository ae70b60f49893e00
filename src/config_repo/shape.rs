//! Compares a document with its JSON Schema and reports every difference at its place.
//!
//! What fits is passed on as plain JSON, so that the checks that follow see as much of a document
//! as possible.
use serde_json::{Map, Number, Value as Json};

use super::issue::{Issues, Place, shown};
use super::node::{Node, Value};
use super::suggest::Suggest;

/// What the comparison needs on its way down.
pub(super) struct Shape<'a> {
    pub(super) file: &'a str,
    pub(super) issues: &'a mut Issues,
    pub(super) suggest: &'a mut Suggest,
}

impl Shape<'_> {
    /// What of `node` fits the schema; `name` is what a message calls it.
    pub(super) fn fit(&mut self, schema: &Json, node: &Node, name: &str) -> Option<Json> {
        let schema = not_null(schema);
        if let Some(words) = words(schema) {
            return self.word(&words, node, name);
        }
        match type_of(schema) {
            "object" => self.object(schema, node, name),
            "array" => self.list(schema, node, name),
            "boolean" => self.boolean(node, name),
            "integer" => self.integer(schema, node, name),
            "number" => self.number(schema, node, name),
            _ => self.string(node, name),
        }
    }

    fn add(&mut self, place: Place, message: String, fix: String) {
        self.issues.add(self.file, place, message, fix);
    }

    fn wrong(&mut self, node: &Node, name: &str, expected: &str, fix: &str) {
        self.add(node.place, format!("{name} must be {expected}, not {}", node.kind()), fix.to_owned());
    }

    fn object(&mut self, schema: &Json, node: &Node, name: &str) -> Option<Json> {
        let empty = Map::new();
        let known = schema["properties"].as_object().unwrap_or(&empty);
        let valid = || known.keys().map(String::as_str);
        let Value::Map(fields) = &node.value else {
            let list = valid().collect::<Vec<_>>().join(", ");
            self.wrong(node, name, "a mapping", &format!("write fields under it; valid are: {list}"));
            return None;
        };
        let mut fitting = Map::new();
        for (key, value) in fields {
            match known.get(&key.text) {
                // Nothing behind the colon is the same as no field.
                Some(_) if value.is_null() => {}
                Some(schema) => {
                    fitting.extend(self.fit(schema, value, &key.text).map(|json| (key.text.clone(), json)));
                }
                None => {
                    let list = valid().collect::<Vec<_>>().join(", ");
                    let fix = match self.suggest.nearest(&key.text, valid()) {
                        Some(near) => format!("did you mean '{near}'? Valid here: {list}"),
                        None => format!("remove it; valid here: {list}"),
                    };
                    self.add(key.place, format!("unknown field '{}' in {name}", shown(&key.text)), fix);
                }
            }
        }
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            match fields.iter().find(|(key, _)| key.text == required) {
                None => self.missing(node.place, name, required),
                Some((key, value)) if value.is_null() => self.missing(key.place, name, required),
                Some(_) => {}
            }
        }
        Some(Json::Object(fitting))
    }

    fn missing(&mut self, place: Place, name: &str, field: &str) {
        self.add(place, format!("{name} needs the field '{field}'"), format!("add '{field}: …'"));
    }

    fn list(&mut self, schema: &Json, node: &Node, name: &str) -> Option<Json> {
        let Value::List(items) = &node.value else {
            self.wrong(node, name, "a list", "write '- …' on a line of its own for each, or [ …, … ]");
            return None;
        };
        let item = format!("an item of {name}");
        // A hole keeps the numbering, by which places are found again.
        let fit = |node| self.fit(&schema["items"], node, &item).unwrap_or(Json::Null);
        Some(Json::Array(items.iter().map(fit).collect()))
    }

    fn scalar<'n>(&mut self, node: &'n Node, name: &str, expected: &str, fix: &str) -> Option<&'n str> {
        match &node.value {
            Value::Scalar { text, .. } if !node.is_null() => Some(text),
            _ => {
                self.wrong(node, name, expected, fix);
                None
            }
        }
    }

    fn string(&mut self, node: &Node, name: &str) -> Option<Json> {
        let text = self.scalar(node, name, "text", "write a single value")?;
        if text.chars().any(|c| c.is_control() && c != '\n') {
            self.add(node.place, format!("{name} contains a control character"), "remove it".into());
            return None;
        }
        Some(Json::String(text.to_owned()))
    }

    fn word(&mut self, words: &[&str], node: &Node, name: &str) -> Option<Json> {
        let list = words.join(", ");
        let text = self.scalar(node, name, "a word", &format!("write one of: {list}"))?;
        if words.contains(&text) {
            return Some(Json::String(text.to_owned()));
        }
        let fix = match self.suggest.nearest(text, words.iter().copied()) {
            Some(near) if words.len() > 1 => format!("did you mean '{near}'? Valid are: {list}"),
            _ => format!("write one of: {list}"),
        };
        self.add(node.place, format!("'{}' is not a valid value of {name}", shown(text)), fix);
        None
    }

    fn boolean(&mut self, node: &Node, name: &str) -> Option<Json> {
        match &node.value {
            Value::Scalar { text, plain: true } if text == "true" => Some(Json::Bool(true)),
            Value::Scalar { text, plain: true } if text == "false" => Some(Json::Bool(false)),
            _ => {
                self.wrong(node, name, "true or false", "write true or false, without quotes");
                None
            }
        }
    }

    fn integer(&mut self, schema: &Json, node: &Node, name: &str) -> Option<Json> {
        let (low, high) = (schema["minimum"].as_u64().unwrap_or(0), schema["maximum"].as_u64().unwrap_or(u64::MAX));
        let range = if high == u64::MAX { format!("{low} or more") } else { format!("{low} to {high}") };
        let fix = format!("write a whole number, {range}, without quotes");
        let Value::Scalar { text, plain: true } = &node.value else {
            self.wrong(node, name, "a whole number", &fix);
            return None;
        };
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            let message = format!("{name} must be a whole number, not '{}'", shown(text));
            self.add(node.place, message, fix);
            return None;
        }
        match text.parse::<u64>() {
            Ok(n) if (low..=high).contains(&n) => Some(Json::Number(n.into())),
            _ => {
                self.add(node.place, format!("{name} must be {range}, not {}", shown(text)), fix);
                None
            }
        }
    }

    fn number(&mut self, schema: &Json, node: &Node, name: &str) -> Option<Json> {
        let low = schema["minimum"].as_f64().unwrap_or(f64::MIN);
        let high = schema["maximum"].as_f64().unwrap_or(f64::MAX);
        let text = self.scalar(node, name, "a number", "write a number")?;
        let number = text.parse::<f64>().ok().filter(|n| *n >= low && *n <= high).and_then(Number::from_f64);
        if number.is_none() {
            let message = format!("{name} must be a number from {low} to {high}, not '{}'", shown(text));
            self.add(node.place, message, "write a number in this range".into());
        }
        number.map(Json::Number)
    }
}

/// The schema without the alternative "nothing".
fn not_null(schema: &Json) -> &Json {
    let choices = schema["anyOf"].as_array();
    choices.and_then(|list| list.iter().find(|choice| choice["type"] != "null")).unwrap_or(schema)
}

/// The words of a schema that allows nothing else.
fn words(schema: &Json) -> Option<Vec<&str>> {
    if let Some(word) = schema["const"].as_str() {
        return Some(vec![word]);
    }
    if let Some(list) = schema["enum"].as_array() {
        return Some(list.iter().filter_map(Json::as_str).collect());
    }
    let choices = schema["oneOf"].as_array()?;
    Some(choices.iter().filter_map(words).flatten().collect())
}

fn type_of(schema: &Json) -> &str {
    match &schema["type"] {
        Json::Array(types) => types.iter().filter_map(Json::as_str).find(|name| *name != "null").unwrap_or(""),
        other => other.as_str().unwrap_or(""),
    }
}
