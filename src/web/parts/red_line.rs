//! A branch that is red: since when, by whom, and the first line that says why.
use jiff::Timestamp;

use super::pipeline_line::{HISTORY, PipelineLine, matters};
use crate::store::{StoreError, jobs};
use crate::web::error::Answer;
use crate::web::explain::failing_line;
use crate::web::state::AppState;
use crate::web::view::{JobLine, Red, job_line, reds};

/// Branches that are listed.
const LISTED: usize = 20;
/// Those whose log is looked into.
const READ: usize = 6;

/// A red branch.
pub(in crate::web) struct RedLine {
    pub(in crate::web) job: JobLine,
    pub(in crate::web) branch: String,
    /// `since #40 by Mina Ito, 3 runs`.
    pub(in crate::web) since: String,
    /// The job that it is red since.
    pub(in crate::web) first: String,
    /// The first failing line of the newest log.
    pub(in crate::web) line: Option<String>,
}

/// The red branches of pipelines, the newest first.
pub(in crate::web) async fn red_lines(app: &AppState, lines: &[PipelineLine], now: Timestamp) -> Answer<Vec<RedLine>> {
    let of = |line: &PipelineLine| {
        let whole = line.heads.len() < HISTORY as usize;
        reds(&line.heads, |branch| matters(&line.document, branch)).into_iter().map(move |red| (red, whole))
    };
    let mut found: Vec<_> = lines.iter().flat_map(of).collect();
    found.sort_by_key(|(red, _)| std::cmp::Reverse(red.newest));
    found.truncate(LISTED);
    let wanted = found.clone();
    let read = app.store.read(move |view| {
        let both = |(red, _): &(Red, bool)| Ok((jobs::get(view, red.newest)?, jobs::get(view, red.first)?));
        wanted.iter().map(both).collect::<Result<Vec<_>, StoreError>>()
    });
    let rows = read.await?;
    let mut red_lines = Vec::new();
    for (place, ((red, whole), (newest, first))) in found.into_iter().zip(rows).enumerate() {
        let by = first.author.split(" <").next().unwrap_or_default();
        let by = if by.is_empty() { first.actor.as_str() } else { by };
        red_lines.push(RedLine {
            line: if place < READ { failing_line(app, &newest).await } else { None },
            since: since(&red, whole, first.number, by),
            first: format!("/jobs/{}", first.id),
            branch: newest.branch.clone(),
            job: job_line(&newest, None, now),
        });
    }
    Ok(red_lines)
}

/// Since when a branch is red; `whole`: all runs of the pipeline were looked at.
fn since(red: &Red, whole: bool, first: u64, by: &str) -> String {
    let runs = if red.runs == 1 { "1 run".to_owned() } else { format!("{} runs", red.runs) };
    match (red.at_least, whole) {
        (false, _) => format!("since #{first} by {by}, {runs}"),
        (true, true) if red.runs == 1 => format!("never green, 1 run: #{first} by {by}"),
        (true, true) => format!("never green, {runs} since #{first} by {by}"),
        (true, false) if red.runs == 1 => format!("since #{first} or earlier"),
        (true, false) => format!("since #{first} or earlier, {runs} or more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JobId;

    #[test]
    fn since_when_a_branch_is_red_reads_well() {
        let job = "01890a5d-ac96-774b-bcce-b302099a8057".parse::<JobId>().unwrap();
        let of = |runs: usize, at_least: bool, whole: bool| {
            since(&Red { newest: job, first: job, runs, at_least }, whole, 28, "Mina Ito")
        };
        assert_eq!(of(1, false, false), "since #28 by Mina Ito, 1 run");
        assert_eq!(of(1, true, true), "never green, 1 run: #28 by Mina Ito");
        assert_eq!(of(3, true, true), "never green, 3 runs since #28 by Mina Ito");
        assert_eq!(of(1, true, false), "since #28 or earlier");
        assert_eq!(of(3, true, false), "since #28 or earlier, 3 runs or more");
    }
}
