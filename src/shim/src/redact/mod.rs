//! Removes secrets from a stream of bytes before they reach a log.
//!
//! Owns: the forms in which a secret may appear, the automaton that finds them, and the stream
//! that holds a byte back only while it can still be the beginning of one.
//! May use: nothing but the standard library.
//! Must not touch: files. Nothing here has `Debug`.

mod automaton;
mod escapes;
mod forms;
mod stream;

use std::fmt;
use std::sync::Arc;

use automaton::Automaton;
pub use stream::Redactor;

use crate::start::Pattern;

/// The shortest value that can be masked without masking half of every log, in bytes.
pub const SHORTEST: usize = 4;

/// The most that all forms of all secrets may have together, in bytes.
pub const LARGEST: usize = 8 << 20;

/// Everything that must not appear, ready for any number of streams.
#[derive(Clone)]
pub struct Patterns(Arc<Automaton>);

/// Why a set of values cannot be masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatternError {
    /// The value would match everywhere.
    TooShort {
        /// The name of the secret.
        name: String,
    },
    /// All forms together do not fit into bounded memory.
    TooLarge {
        /// Their size, in bytes.
        bytes: usize,
    },
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { name } => {
                write!(f, "the value of {name} is too short to be masked; it needs at least {SHORTEST} bytes")
            }
            Self::TooLarge { bytes } => write!(
                f,
                "the secrets of this step are too large to be masked: their forms have {bytes} bytes, the limit is {LARGEST}; give the step fewer or smaller secrets"
            ),
        }
    }
}

impl std::error::Error for PatternError {}

impl Patterns {
    /// Every form of every one of these values.
    pub fn new(secrets: &[Pattern]) -> Result<Self, PatternError> {
        let mut all = Vec::new();
        let mut bytes = 0;
        for (name, secret) in secrets.iter().enumerate() {
            let forms = forms::of(&secret.value);
            if forms.is_empty() {
                return Err(PatternError::TooShort { name: secret.name.clone() });
            }
            for form in forms {
                bytes += form.len();
                if bytes > LARGEST {
                    return Err(PatternError::TooLarge { bytes });
                }
                all.push((form, name));
            }
        }
        let replacements = secrets.iter().map(|secret| format!("[secret {}]", secret.name).into_bytes()).collect();
        Ok(Self(Arc::new(Automaton::new(all, replacements))))
    }

    /// A whole text with every secret replaced.
    pub fn redact(&self, text: &[u8]) -> Vec<u8> {
        let mut clean = Vec::with_capacity(text.len());
        let mut redactor = Redactor::new(self.clone());
        redactor.push(text, &mut clean);
        redactor.finish(&mut clean);
        clean
    }
}
