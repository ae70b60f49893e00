use std::fmt;
use std::str::FromStr;

use super::Error;

const LONGEST: usize = 100;

/// The checked name of an artifact, as people and URLs use it. It is never part of a path on disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Checks a name that came from a job.
    pub fn parse(name: &str) -> Result<Self, Error> {
        match objection(name) {
            None => Ok(Self(name.to_owned())),
            Some(why) => Err(Error::BadName { name: name.chars().take(LONGEST).collect(), why }),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn objection(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty; give it 1 to 100 characters")
    } else if name.chars().count() > LONGEST {
        Some("it is too long; give it at most 100 characters")
    } else if name.contains('/') {
        Some("it contains '/'; an artifact has a name, not a path")
    } else if name.contains("..") {
        Some("it contains '..'; use single dots")
    } else if name.starts_with('.') {
        Some("it begins with a dot; begin with another character")
    } else if name.chars().any(char::is_control) {
        Some("it contains a control character; use printable characters")
    } else {
        None
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::parse(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_names_are_taken_as_they_are() {
        for name in ["a", "app-1.0.tar.gz", "coverage report", "Größe.txt", &"ü".repeat(100)] {
            assert_eq!(Name::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_mislead_are_refused_with_the_reason() {
        let cases = [
            ("", "empty"),
            (&*"x".repeat(101), "too long"),
            ("a/b", "'/'"),
            ("/etc/passwd", "'/'"),
            ("..", "'..'"),
            ("a..b", "'..'"),
            (".bashrc", "dot"),
            (".", "dot"),
            ("a\0b", "control"),
            ("a\nb", "control"),
            ("a\u{1b}[2Jb", "control"),
            ("a\u{85}b", "control"),
        ];
        for (name, reason) in cases {
            let message = Name::parse(name).unwrap_err().to_string();
            assert!(message.contains(reason), "{name:?}: {message}");
            assert!(!message.chars().any(char::is_control), "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_safe_to_show_and_join(name in "\\PC{0,120}|[./a\\x00-\\x20]{0,8}") {
            if let Ok(name) = Name::parse(&name) {
                let path = std::path::Path::new("root").join(name.as_str());
                prop_assert_eq!(path.components().count(), 2);
                prop_assert!(path.starts_with("root"));
                prop_assert!(!name.as_str().chars().any(char::is_control));
            }
        }
    }
}
