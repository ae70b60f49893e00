//! The names of the streams of a job.
use std::fmt;
use std::str::FromStr;

/// One attempt of one step; step 0 is the coordinator. Written `<step>.<attempt>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName {
    /// The step's number within its job.
    pub step: u32,
    /// The attempt at it, from 1.
    pub attempt: u32,
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.step, self.attempt)
    }
}

/// The text is not the name of a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a log; it looks like 3.1: step 3, attempt 1")]
pub struct ParseStreamNameError(String);

impl FromStr for StreamName {
    type Err = ParseStreamNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text
            .split_once('.')
            .and_then(|(step, attempt)| Some(Self { step: step.parse().ok()?, attempt: attempt.parse().ok()? }));
        // One stream, one name: no signs, no leading zeros.
        parsed.filter(|name| name.to_string() == text).ok_or_else(|| ParseStreamNameError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_step_and_attempt_and_nothing_else() {
        assert_eq!("12.3".parse(), Ok(StreamName { step: 12, attempt: 3 }));
        for text in ["", "1", "1.", ".1", "01.1", "+1.1", "1.1.1", "../1.1", "1.-1", "99999999999.1"] {
            assert!(text.parse::<StreamName>().is_err(), "{text}");
        }
    }
}
