//! The first failing lines of a step's log.
use super::answer::Line;
use crate::logs::{Place, plain};
use crate::store::StepRow;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::{blocking, parts, streams};

/// Lines that are shown.
const SHOWN: usize = 6;
/// Lines at the end of a log that says nothing wrong: empty ones among them are not shown.
const LAST: usize = 50;
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
    let file = streams::file(app, step)?;
    let here = app.clone();
    let first = blocking::run(move || here.lines.first_error(&file)).await?;
    let (place, limit) = first.as_ref().map_or((Place::Tail, LAST), |first| (Place::Line(first.line), SHOWN));
    let window = parts::window(app, step, place, limit).await?;
    let line = |row: crate::logs::Row| {
        let text: String = plain(&row.bytes).chars().take(LONGEST).collect();
        row.number.map(|number| Line { number, text })
    };
    let lines: Vec<Line> = window.rows.into_iter().filter_map(line).collect();
    Ok(Told { lines: telling(lines), error: first.is_some() })
}

/// The last lines that are shown, without empty ones at the end.
fn telling(mut lines: Vec<Line>) -> Vec<Line> {
    let end = lines.iter().rposition(|line| !line.text.trim().is_empty()).map_or(0, |last| last + 1);
    lines.truncate(end);
    lines.split_off(end.saturating_sub(SHOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_at_the_end_tell_nothing() {
        let lines = |texts: &[&str]| {
            texts.iter().zip(1..).map(|(text, number)| Line { number, text: (*text).to_owned() }).collect::<Vec<_>>()
        };
        assert_eq!(
            telling(lines(&["1", "2", "3", "4", "5", "6", "7", ""])),
            lines(&["1", "2", "3", "4", "5", "6", "7"])[1..]
        );
        assert_eq!(telling(lines(&["FAIL", "", " "])), lines(&["FAIL"]));
        assert!(telling(Vec::new()).is_empty());
    }
}
