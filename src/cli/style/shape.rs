//! A state is a word and a shape, never a colour alone.
use super::colour::{Colour, Look};
use crate::model::job::Status;
use crate::model::step::StepStatus;

/// A state as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    shape: &'static str,
    word: &'static str,
    colour: Colour,
}

impl Shape {
    /// Shape and word.
    pub fn text(self) -> String {
        format!("{} {}", self.shape, self.word)
    }

    /// Shape and word in their colour.
    pub fn paint(self, look: Look) -> String {
        look.paint(self.colour, &self.text())
    }

    /// The shape alone, in its colour.
    pub fn shape(self, look: Look) -> String {
        look.paint(self.colour, self.shape)
    }

    /// Its colour.
    pub const fn colour(self) -> Colour {
        self.colour
    }
}

/// The state of a job.
pub const fn state(status: Status) -> Shape {
    let (shape, colour) = match status {
        Status::Pending => ("◌", Colour::Dim),
        Status::Running => ("●", Colour::Busy),
        Status::Success => ("✓", Colour::Good),
        Status::Failure | Status::Timeout => ("✗", Colour::Bad),
        Status::Cancelled => ("⊘", Colour::Dim),
    };
    Shape { shape, word: status.as_str(), colour }
}

/// The state of a step; `allowed`: the job may succeed without it.
pub const fn step_state(status: StepStatus, allowed: bool) -> Shape {
    let (shape, colour) = match status {
        StepStatus::Pending => ("◌", Colour::Dim),
        StepStatus::Running => ("●", Colour::Busy),
        StepStatus::Success => ("✓", Colour::Good),
        StepStatus::Failure | StepStatus::Timeout if allowed => ("✗", Colour::Warn),
        StepStatus::Failure | StepStatus::Timeout => ("✗", Colour::Bad),
        StepStatus::Cancelled | StepStatus::Skipped => ("⊘", Colour::Dim),
    };
    Shape { shape, word: status.as_str(), colour }
}
