use super::Refusal;

/// One question that verification asks, in the order in which it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Did the pinned key sign this?
    Signature,
    /// Did it sign an in-toto statement?
    PayloadType,
    /// Is it Statement v1?
    StatementType,
    /// Is it provenance, and complete?
    PredicateType,
    /// Is the given file among its subjects?
    SubjectDigest,
    /// Is the builder the expected one?
    Builder,
    /// Is the repository the expected one?
    Source,
    /// Is the branch, tag or commit the expected one?
    Ref,
    /// Do we know what its parameters mean?
    BuildType,
    /// Can its times be true?
    Times,
}

impl Check {
    /// All checks in their order.
    pub const ALL: [Self; 10] = [
        Self::Signature,
        Self::PayloadType,
        Self::StatementType,
        Self::PredicateType,
        Self::SubjectDigest,
        Self::Builder,
        Self::Source,
        Self::Ref,
        Self::BuildType,
        Self::Times,
    ];

    /// The name in output and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::PayloadType => "payload type",
            Self::StatementType => "statement type",
            Self::PredicateType => "predicate type",
            Self::SubjectDigest => "subject digest",
            Self::Builder => "builder",
            Self::Source => "source",
            Self::Ref => "ref",
            Self::BuildType => "build type",
            Self::Times => "times",
        }
    }

    fn needs_expectation(self) -> bool {
        matches!(self, Self::Builder | Self::Source | Self::Ref)
    }
}

/// The answer to one check.
#[derive(Debug)]
pub enum Outcome {
    /// It holds; the text says what was found.
    Passed(String),
    /// It does not hold.
    Failed(Refusal),
    /// It was not asked; the text says why.
    NotChecked(String),
}

/// The answers to all checks, each once, in order.
#[derive(Debug)]
pub struct Report {
    answers: Vec<(Check, Outcome)>,
}

impl Report {
    pub(super) fn new() -> Self {
        Self { answers: Vec::with_capacity(Check::ALL.len()) }
    }

    /// Notes a result and hands out its value.
    pub(super) fn note<T>(&mut self, check: Check, result: Result<(T, String), Refusal>) -> Option<T> {
        match result {
            Ok((value, found)) => {
                self.answers.push((check, Outcome::Passed(found)));
                Some(value)
            }
            Err(refusal) => {
                self.answers.push((check, Outcome::Failed(refusal)));
                None
            }
        }
    }

    pub(super) fn skip(&mut self, check: Check, why: String) {
        self.answers.push((check, Outcome::NotChecked(why)));
    }

    /// Marks what was not reached.
    pub(super) fn complete(mut self) -> Self {
        for check in &Check::ALL[self.answers.len()..] {
            self.skip(*check, "not checked, because an earlier check failed".to_owned());
        }
        self
    }

    /// The answers in order.
    pub fn answers(&self) -> &[(Check, Outcome)] {
        &self.answers
    }

    /// The first failed check and why it failed.
    pub fn refusal(&self) -> Option<(Check, &Refusal)> {
        self.answers.iter().find_map(|(check, outcome)| match outcome {
            Outcome::Failed(refusal) => Some((*check, refusal)),
            _ => None,
        })
    }

    /// True if nothing failed and nothing was left out but expectations that nobody gave.
    pub fn accepted(&self) -> bool {
        self.answers.len() == Check::ALL.len()
            && self.answers.iter().all(|(check, outcome)| match outcome {
                Outcome::Passed(_) => true,
                Outcome::Failed(_) => false,
                Outcome::NotChecked(_) => check.needs_expectation(),
            })
    }
}
