//! What is wrong with the host's configuration.
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or may not be read.
    #[error("the configuration file {path} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Every mistake that was found.
    #[error("the configuration has {}:\n{}", count(.0), list(.0))]
    Invalid(Vec<Problem>),
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands: file and line, a variable, or a flag.
    pub origin: String,
    /// The key.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What was expected, or the nearest valid name.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}; {}", self.origin, self.key, self.message, self.expected)
    }
}

fn count(problems: &[Problem]) -> String {
    if problems.len() == 1 { "1 mistake".to_owned() } else { format!("{} mistakes", problems.len()) }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}
