//! Branches that are red and concern only those who work on them.
use std::collections::BTreeSet;

use super::pipeline_line::{PipelineLine, matters};
use crate::model::JobId;
use crate::model::job::Status;
use crate::store::JobHead;
use crate::web::view::reds;

/// Branches that are named.
const NAMED: usize = 10;

/// Red branches beside those that everybody wants to know of.
#[derive(Debug, Default)]
pub(in crate::web) struct RedElsewhere {
    /// `main is green; 6 other branches are red`.
    pub(in crate::web) sentence: String,
    /// Pipeline and branch, number and page of the newest ones.
    pub(in crate::web) named: Vec<(String, String)>,
    /// All of them.
    pub(in crate::web) count: usize,
}

/// Looks for them; `red`: how many are red of those that everybody wants to know of.
pub(in crate::web) fn red_elsewhere(lines: &[PipelineLine], red: usize) -> RedElsewhere {
    let mut found: Vec<(JobId, String, &JobHead)> = Vec::new();
    let mut green = BTreeSet::new();
    for line in lines {
        let elsewhere = reds(&line.heads, |branch| !matters(&line.document, branch));
        let head = |id: JobId| line.heads.iter().find(|head| head.id == id);
        found.extend(elsewhere.iter().filter_map(|red| Some((red.newest, line.name.clone(), head(red.newest)?))));
        let ended =
            |head: &&JobHead| head.status == Status::Success && head.tag.is_none() && head.pull_request.is_none();
        let good = line.heads.iter().filter(ended).filter(|head| matters(&line.document, &head.branch));
        green.extend(good.map(|head| head.branch.as_str()));
    }
    found.sort_by_key(|(newest, ..)| std::cmp::Reverse(*newest));
    let branches = if found.len() == 1 { "branch is" } else { "branches are" };
    let count = found.len();
    // Where one of them is red, the list above says which.
    let green: Vec<&str> = green.into_iter().filter(|_| red == 0).collect();
    let sentence = match green.as_slice() {
        [] if red == 0 => format!("{count} {branches} red"),
        [] => format!("{count} other {branches} red"),
        [one] => format!("{one} is green; {count} other {branches} red"),
        [one, other] => format!("{one} and {other} are green; {count} other {branches} red"),
        _ => format!("main branches are green; {count} other {branches} red"),
    };
    let name = |(id, pipeline, head): (JobId, String, &JobHead)| {
        (format!("{pipeline} {} #{}", head.branch, head.number), format!("/jobs/{id}"))
    };
    RedElsewhere { sentence, named: found.into_iter().take(NAMED).map(name).collect(), count }
}
