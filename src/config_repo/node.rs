//! YAML as a tree in which everything knows its place.
use super::issue::Place;

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What a value is. Which type a plain scalar has is decided by the schema, not by its looks.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Text; `plain` is false where it was quoted or a block.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order of the file; keys occur once.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) place: Place,
    pub(super) text: String,
}

/// One step down the tree.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    /// Into a mapping.
    Field(&'a str),
    /// Into a list.
    Item(usize),
}

impl<'a> From<&'a str> for Step<'a> {
    fn from(name: &'a str) -> Self {
        Self::Field(name)
    }
}

impl From<usize> for Step<'_> {
    fn from(index: usize) -> Self {
        Self::Item(index)
    }
}

impl Node {
    /// The value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(fields) => fields.iter().find(|(key, _)| key.text == name).map(|(_, node)| node),
            Value::Scalar { .. } | Value::List(_) => None,
        }
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// `key:` with nothing behind it, `~` or `null`.
    pub(super) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar { text, plain } => *plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"),
            Value::List(_) | Value::Map(_) => false,
        }
    }

    /// The place at the end of a path, or of the last part of it that exists.
    pub(super) fn place_of(&self, path: &[Step<'_>]) -> Place {
        let mut node = self;
        for step in path {
            let next = match (step, &node.value) {
                (Step::Field(name), _) => node.field(name),
                (Step::Item(index), Value::List(items)) => items.get(*index),
                (Step::Item(_), Value::Scalar { .. } | Value::Map(_)) => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node.place
    }

    /// What it is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => "nothing",
            Value::Scalar { text, plain: true } if matches!(text.as_str(), "true" | "false") => "true or false",
            Value::Scalar { text, plain: true } if text.parse::<f64>().is_ok() => "a number",
            Value::Scalar { .. } => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// Names the way to a value: `way!["spec", "triggers", 2, "schedule"]`.
macro_rules! way {
    ($($step:expr),* $(,)?) => {
        &[$($crate::config_repo::node::Step::from($step)),*]
    };
}
pub(super) use way;
