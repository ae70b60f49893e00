//! What must not show: in logs, through the shims, and in rows, through the same redactor here.
use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use danube_shim::redact::{PatternError, Patterns};
use danube_shim::start::Pattern;

use crate::executor::Mask;
use crate::model::Secret;

/// The name that stands in the log for a value of `secrets.mask`.
pub(super) const MASKED: &str = "masked";

/// The values of one job that must not show.
pub(super) struct Masks {
    state: RwLock<State>,
    /// Held for reading while a step starts, for writing while a value is added: a step that starts
    /// in between would miss the value.
    pub(super) gate: tokio::sync::RwLock<()>,
}

struct State {
    values: Vec<Pattern>,
    patterns: Patterns,
}

impl Masks {
    /// The values that are known when the job is opened.
    pub(super) fn new(values: Vec<(String, Secret<Vec<u8>>)>) -> Result<Self, PatternError> {
        let values: Vec<Pattern> = values.iter().map(|(name, value)| pattern(name, value.expose())).collect();
        let patterns = Patterns::new(&values)?;
        Ok(Self { state: RwLock::new(State { values, patterns }), gate: tokio::sync::RwLock::default() })
    }

    /// Adds a value; answers with what is to be handed to the shims. That a value is known here does not say
    /// that an earlier hand-over reached them, so it is handed over again, under the name they know it by.
    pub(super) fn add(&self, name: &str, value: &[u8]) -> Result<Mask, PatternError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = state.values.iter().find(|known| known.value == value) {
            return Ok(mask(&known.name, value));
        }
        let mut values = state.values.clone();
        values.push(pattern(name, value));
        let patterns = Patterns::new(&values)?;
        *state = State { values, patterns };
        Ok(mask(name, value))
    }

    /// Everything, for a step that starts.
    pub(super) fn all(&self) -> Vec<Mask> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.values.iter().map(|known| mask(&known.name, &known.value)).collect()
    }

    /// A text fit for a row.
    pub(super) fn redact(&self, text: &str) -> String {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&state.patterns.redact(text.as_bytes())).into_owned()
    }
}

fn pattern(name: &str, value: &[u8]) -> Pattern {
    Pattern { name: name.to_owned(), value: value.to_vec() }
}

fn mask(name: &str, value: &[u8]) -> Mask {
    Mask { name: name.to_owned(), value: base64::engine::general_purpose::STANDARD.encode(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_added_values_are_redacted_in_rows() {
        let known = vec![("TOKEN".to_owned(), Secret::new(b"hunter22".to_vec()))];
        let masks = Masks::new(known).unwrap();
        assert_eq!(masks.redact("curl -H hunter22"), "curl -H [secret TOKEN]");
        let added = masks.add(MASKED, b"fresh-token").unwrap();
        let again = masks.add(MASKED, b"fresh-token").unwrap();
        assert_eq!((added.name, added.value), (again.name, again.value));
        assert_eq!(masks.add(MASKED, b"hunter22").unwrap().name, "TOKEN");
        assert_eq!(masks.redact("fresh-token"), "[secret masked]");
        assert_eq!(masks.all().len(), 2);
    }

    #[test]
    fn a_value_that_would_match_everywhere_is_refused_and_changes_nothing() {
        let masks = Masks::new(Vec::new()).unwrap();
        assert!(masks.add(MASKED, b"a").is_err());
        assert!(masks.all().is_empty());
    }
}
