//! The first failing lines of a step's log.
use super::answer::Line;
use crate::store::StepRow;
use crate::web::error::Answer;
use crate::web::parts;
use crate::web::state::AppState;
use crate::web::view::{Want, failing_lines, looks_wrong};

/// Lines that are looked through.
const LOOKED_AT: usize = 2000;
/// Characters of a line.
const LONGEST: usize = 400;

/// Lines that tell most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::web) struct Told {
    /// In order.
    pub(in crate::web) lines: Vec<Line>,
    /// The first of them looks like an error.
    pub(in crate::web) error: bool,
}

/// The lines of a step's log that tell most, from the first that looks like an error, else the last.
pub(super) async fn told(app: &AppState, step: &StepRow) -> Answer<Told> {
    let part = parts::lines_of(app, step, Want::Tail(LOOKED_AT)).await?;
    let lines = failing_lines(&part.lines, |line| line.text.as_str());
    let error = lines.first().is_some_and(|line| looks_wrong(&line.text));
    let cut = |text: &str| text.chars().take(LONGEST).collect();
    Ok(Told { lines: lines.iter().map(|line| Line { number: line.number, text: cut(&line.text) }).collect(), error })
}
