//! What is looked for in a log.
use std::ops::Range;

use regex::{Regex, RegexBuilder};

/// Bytes of a search text.
const LONGEST: usize = 1000;
/// Bytes of memory of one compiled search.
const SIZE: usize = 1 << 20;
/// Marked places in one line.
const MARKS: usize = 50;

/// A text or an expression to look for.
#[derive(Debug, Clone)]
pub struct Query(Regex);

/// How a search text is meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meaning {
    /// A regular expression; else the text itself.
    pub expression: bool,
    /// Capital letters matter.
    pub case: bool,
}

/// A text that cannot be looked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Nothing to look for.
    #[error("the search is empty; write what to look for")]
    Empty,
    /// Too long.
    #[error("the search has {0} bytes; at most 1000 are taken")]
    Long(usize),
    /// More than one line.
    #[error("the search has a line end in it; search runs line by line, so look for one line of it")]
    Lines,
    /// No regular expression, or one too large.
    #[error("this is no regular expression that can be searched for: {0}; search for it as plain text, or correct it")]
    Expression(String),
}

impl Query {
    /// Reads what somebody typed. Matching takes time in proportion to the log, whatever was typed.
    pub fn new(text: &str, meaning: Meaning) -> Result<Self, QueryError> {
        match text {
            "" => return Err(QueryError::Empty),
            long if long.len() > LONGEST => return Err(QueryError::Long(long.len())),
            lines if lines.contains(['\n', '\r']) => return Err(QueryError::Lines),
            _ => {}
        }
        let pattern = if meaning.expression { text.to_owned() } else { regex::escape(text) };
        let mut builder = RegexBuilder::new(&pattern);
        builder.case_insensitive(!meaning.case).size_limit(SIZE).dfa_size_limit(SIZE).nest_limit(50);
        builder.build().map(Self).map_err(|error| {
            let words = match error {
                regex::Error::CompiledTooBig(_) => "it needs too much memory".to_owned(),
                other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
            };
            QueryError::Expression(words)
        })
    }

    /// Whether a line has it.
    pub fn is_in(&self, line: &str) -> bool {
        self.0.is_match(line)
    }

    /// Where a line has it, 50 places at most.
    pub fn places(&self, line: &str) -> Vec<Range<usize>> {
        self.0.find_iter(line).filter(|found| !found.is_empty()).take(MARKS).map(|found| found.range()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_looked_for_as_it_is_written() {
        let query = Query::new("a.b[", Meaning::default()).unwrap();
        assert!(query.is_in("xA.B[x") && !query.is_in("axb["));
        assert_eq!(query.places("a.b[ A.B["), [0..4, 5..9]);
        let case = Query::new("É", Meaning { case: true, ..Meaning::default() }).unwrap();
        assert!(case.is_in("É") && !case.is_in("é"));
        let expression = Query::new(r"^\d+ tests?$", Meaning { expression: true, case: false }).unwrap();
        assert!(expression.is_in("12 tests") && !expression.is_in("x 12 tests"));
    }

    #[test]
    fn what_cannot_be_looked_for_is_refused_with_its_reason() {
        let expression = Meaning { expression: true, case: false };
        assert_eq!(Query::new("", Meaning::default()).unwrap_err(), QueryError::Empty);
        assert!(matches!(Query::new(&"x".repeat(1001), Meaning::default()), Err(QueryError::Long(1001))));
        assert!(matches!(Query::new("a\nb", Meaning::default()), Err(QueryError::Lines)));
        for wrong in ["(", "a{1000}{1000}{1000}", r"\p{Foo}", "(?=x)"] {
            let error = Query::new(wrong, expression).unwrap_err();
            assert!(matches!(error, QueryError::Expression(_)), "{wrong}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_finds_itself(text in "[^\r\n]{1,40}") {
            let query = Query::new(&text, Meaning { case: true, ..Meaning::default() }).unwrap();
            let found = query.is_in(&format!("<{text}>"));
            prop_assert!(found);
        }
    }
}
