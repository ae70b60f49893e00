//! The first failing lines of a step's log.
use super::answer::Line;
use super::culprit::culprit;
use crate::logs::{Place, plain};
use crate::model::job::Status;
use crate::store::{JobRow, StepRow, steps};
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::{blocking, parts, streams};

/// Lines that are shown.
const SHOWN: usize = 6;
/// Lines at the end of a log that says nothing wrong: empty ones among them are not shown.
const LAST: usize = 50;
/// Lines at the end of a log that are shown below its error.
const ENDS: usize = 2;
/// A remark of the executor's that explains no failure.
const ASIDE: &str = "danube: no network in ";
/// Characters of a line.
const LONGEST: usize = 400;

/// Lines that tell most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::web) struct Told {
    /// In order.
    pub(in crate::web) lines: Vec<Line>,
    /// The one to look at: the first that looks like an error, else the last of the output.
    pub(in crate::web) line: Option<u64>,
    /// It looks like an error.
    pub(in crate::web) error: bool,
}

/// The lines of a step's log that tell most: where it looks like an error, and the last ones.
pub(super) async fn told(app: &AppState, step: &StepRow) -> Answer<Told> {
    let file = streams::file(app, step)?;
    let here = app.clone();
    let first = blocking::run(move || here.lines.first_error(&file)).await?;
    let last = telling(lines(app, step, Place::Tail, LAST).await?);
    let Some(first) = first else {
        let line = last.last().map(|line| line.number);
        return Ok(Told { lines: last, line, error: false });
    };
    let before = usize::try_from(first.before).unwrap_or(0);
    let from = Place::Line(first.line.saturating_sub(first.before));
    let mut shown = lines(app, step, from, SHOWN.max(before + 1)).await?;
    let end = shown.iter().rposition(|line| !line.text.trim().is_empty()).map_or(0, |last| last + 1);
    shown.truncate(end);
    let reached = shown.last().map_or(0, |line| line.number);
    let rest = last.len().saturating_sub(ENDS);
    shown.extend(last.into_iter().skip(rest).filter(|line| line.number > reached));
    Ok(Told { lines: shown, line: Some(first.line), error: true })
}

/// The line that tells most of why a job failed, for a list. What cannot be read says nothing here; the job's page
/// tells why.
pub(in crate::web) async fn failing_line(app: &AppState, job: &JobRow) -> Option<String> {
    if job.logs_expired_at.is_some() || !matches!(job.status, Status::Failure | Status::Timeout) {
        return None;
    }
    let id = job.id;
    let rows = app.store.read(move |view| steps::of_job(view, id)).await.ok()?;
    let told = told(app, culprit(job, &rows)?).await.ok()?;
    told.lines.into_iter().find(|line| Some(line.number) == told.line).map(|line| line.text)
}

async fn lines(app: &AppState, step: &StepRow, place: Place, limit: usize) -> Answer<Vec<Line>> {
    let window = parts::window(app, step, place, limit).await?;
    let line = |row: crate::logs::Row| {
        let text: String = plain(&row.bytes).chars().take(LONGEST).collect();
        row.number.filter(|_| !text.starts_with(ASIDE)).map(|number| Line { number, text })
    };
    Ok(window.rows.into_iter().filter_map(line).collect())
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
