//! Steps on the job's own axis of time: what ran side by side and what was slow is seen at once.
use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::axis::{Axis, Stretch};
use super::step_tree::{Node, Tree, tree};
use super::{duration, path_segment, untold};
use crate::model::step::StepStatus;
use crate::store::StepRow;
use crate::web::explain::{Span, Usual, times_usual};

/// Rows on one page; the others are behind links.
const ROWS: usize = 200;
/// Rows before the one in focus.
const BEFORE: usize = 40;
/// Attempts of one step that are drawn.
const ATTEMPTS: usize = 12;
/// The deepest indentation.
const DEEPEST: usize = 4;

/// What is drawn.
pub(in crate::web) struct Drawn<'a> {
    /// Every attempt of every step, in order.
    pub(in crate::web) rows: &'a [StepRow],
    /// The same as spans.
    pub(in crate::web) spans: &'a [Span],
    /// What they usually take.
    pub(in crate::web) usual: &'a Usual,
    /// The steps on the critical path.
    pub(in crate::web) critical: &'a BTreeSet<u32>,
    /// Where.
    pub(in crate::web) axis: Axis,
    /// The moment.
    pub(in crate::web) now: Timestamp,
    /// The step that is looked at.
    pub(in crate::web) focus: Option<u32>,
    /// The branch that is unfolded.
    pub(in crate::web) open: Option<&'a str>,
    /// The first row that is shown.
    pub(in crate::web) from: Option<usize>,
}

/// The list of steps.
#[derive(Debug, Default)]
pub(in crate::web) struct Waterfall {
    /// The rows of this page.
    pub(in crate::web) lines: Vec<StepLine>,
    /// Steps in all.
    pub(in crate::web) steps: usize,
    /// The link to the rows before, and what it says.
    pub(in crate::web) before: Option<(String, String)>,
    /// The link to the rows after.
    pub(in crate::web) after: Option<(String, String)>,
    /// Something is on the critical path beside other things.
    pub(in crate::web) has_critical: bool,
}

/// A bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::web) struct Bar {
    /// Its colour.
    pub(in crate::web) class: &'static str,
    /// Where it lies.
    pub(in crate::web) at: Stretch,
}

/// A row of the list: a step, or a group of them.
#[derive(Debug, Clone, Default)]
pub(in crate::web) struct StepLine {
    /// The step's place; 0 for a group.
    pub(in crate::web) seq: u32,
    /// Its name.
    pub(in crate::web) name: String,
    /// Its branch, where the name does not tell it; of a group, what is in it.
    pub(in crate::web) label: String,
    /// Its state.
    pub(in crate::web) status: &'static str,
    /// How deep it stands.
    pub(in crate::web) depth: usize,
    /// It is a group of steps.
    pub(in crate::web) group: bool,
    /// It is on the critical path.
    pub(in crate::web) critical: bool,
    /// It is the step that is looked at.
    pub(in crate::web) current: bool,
    /// Where it leads.
    pub(in crate::web) href: Option<String>,
    /// How long it took.
    pub(in crate::web) took: String,
    /// `2.1× usual`, where it is worth a word.
    pub(in crate::web) slower: Option<String>,
    /// What it usually takes.
    pub(in crate::web) usual: Option<String>,
    /// Where it usually ends, of 1000.
    pub(in crate::web) mark: Option<i64>,
    /// One bar for each attempt.
    pub(in crate::web) bars: Vec<Bar>,
}

/// Draws the steps of a job, without the coordinator.
pub(in crate::web) fn waterfall(drawn: &Drawn<'_>) -> Waterfall {
    let steps: Vec<&StepRow> = newest(drawn.rows).filter(|step| step.seq > 0).collect();
    let mut attempts: HashMap<u32, Vec<&StepRow>> = HashMap::new();
    for row in drawn.rows {
        attempts.entry(row.seq).or_default().push(row);
    }
    let spans = drawn.spans.iter().map(|span| (span.seq, span)).collect();
    let painter = Painter { drawn, tree: tree(&steps), steps, attempts, spans };
    let mut lines = Vec::new();
    for node in &painter.tree.roots {
        painter.node(node, 0, &mut lines);
    }
    let has_critical = drawn.critical.len() > 1 && drawn.critical.len() < painter.steps.len();
    page(lines, painter.steps.len(), drawn, has_critical)
}

/// The part of the rows that this page shows.
fn page(mut lines: Vec<StepLine>, steps: usize, drawn: &Drawn<'_>, has_critical: bool) -> Waterfall {
    let all = lines.len();
    let focus = lines.iter().position(|line| line.current || Some(line.seq) == drawn.focus && !line.group);
    let from = if all <= ROWS {
        0
    } else {
        drawn.from.or(focus.map(|at| at.saturating_sub(BEFORE))).unwrap_or(0).min(all - ROWS)
    };
    let to = (from + ROWS).min(all);
    let link = |at: usize| format!("?rows={at}{}#steps", opened(drawn.open));
    let before = (from > 0).then(|| (link(from.saturating_sub(ROWS)), format!("{from} earlier rows")));
    let after = (to < all).then(|| (link(to), format!("{} later rows", all - to)));
    lines.truncate(to);
    lines.drain(..from);
    Waterfall { lines, steps, before, after, has_critical }
}

fn opened(open: Option<&str>) -> String {
    open.map(|path| format!("&open={}", path_segment(path))).unwrap_or_default()
}

struct Painter<'a> {
    drawn: &'a Drawn<'a>,
    tree: Tree,
    steps: Vec<&'a StepRow>,
    attempts: HashMap<u32, Vec<&'a StepRow>>,
    spans: HashMap<u32, &'a Span>,
}

impl Painter<'_> {
    fn node(&self, node: &Node, depth: usize, lines: &mut Vec<StepLine>) {
        let place = match node {
            Node::Step(place) => {
                lines.push(self.step(self.steps[*place], depth));
                return;
            }
            Node::Group(place) => *place,
        };
        let group = &self.tree.groups[place];
        let inside = self.inside(node);
        // A branch of one step is that step.
        if group.branch && inside.len() == 1 {
            lines.push(self.step(inside[0], depth));
            return;
        }
        // Where there are very many steps, a branch without anything to see in it is one row.
        let dull = |step: &&&StepRow| matches!(step.status, StepStatus::Success | StepStatus::Skipped);
        let looked_at = inside.iter().any(|step| Some(step.seq) == self.drawn.focus)
            || self.drawn.open.is_some_and(|open| open == group.path || open.starts_with(&format!("{}/", group.path)));
        let folded =
            group.branch && self.steps.len() > ROWS && inside.iter().filter(dull).count() == inside.len() && !looked_at;
        lines.push(self.group(place, &inside, depth, folded));
        if !folded {
            for child in &group.children {
                self.node(child, depth + 1, lines);
            }
        }
    }

    fn inside(&self, node: &Node) -> Vec<&StepRow> {
        let mut places = Vec::new();
        self.tree.steps(node, &mut places);
        places.into_iter().map(|place| self.steps[place]).collect()
    }

    fn group(&self, place: usize, inside: &[&StepRow], depth: usize, folded: bool) -> StepLine {
        let group = &self.tree.groups[place];
        let status = together(inside);
        let spans = || inside.iter().filter_map(|step| self.spans.get(&step.seq)).filter(|span| !span.reused);
        let (from, to) = (spans().map(|span| span.from).min(), spans().map(|span| span.to).max());
        let branches = group.children.iter().filter(|child| matches!(child, Node::Group(_))).count();
        let what = if group.branch || branches == 0 {
            counted(inside.len(), "step")
        } else {
            format!("{branches} side by side")
        };
        let red = inside.iter().filter(|step| matches!(step.status, StepStatus::Failure | StepStatus::Timeout)).count();
        let label = if red > 0 { format!("{what}, {red} failed") } else { what };
        let span = from.zip(to);
        StepLine {
            name: if group.title.is_empty() { group.path.clone() } else { group.title.clone() },
            label,
            status: status.as_str(),
            depth: depth.min(DEEPEST),
            group: true,
            critical: inside.iter().any(|step| self.drawn.critical.contains(&step.seq)),
            href: folded.then(|| format!("?open={}#steps", path_segment(&group.path))),
            took: span.map(|(from, to)| super::took(from, to)).unwrap_or_default(),
            bars: span
                .map(|(from, to)| Bar { class: class(status), at: self.drawn.axis.stretch(from, to) })
                .into_iter()
                .collect(),
            ..StepLine::default()
        }
    }

    fn step(&self, step: &StepRow, depth: usize) -> StepLine {
        let span = self.spans.get(&step.seq).copied();
        let usual = span.filter(|span| !span.reused).and_then(|span| Some((span, self.drawn.usual.step(&span.same)?)));
        let slower = usual.and_then(|(span, usual)| times_usual(span.millis(), usual));
        let attempts = self.attempts.get(&step.seq).map(Vec::as_slice).unwrap_or_default();
        let drawn = &attempts[attempts.len().saturating_sub(ATTEMPTS)..];
        let bar = |row: &&StepRow| {
            if row.reused_from.is_some() {
                return None;
            }
            let (from, to) = (row.started_at?, row.finished_at.unwrap_or(self.drawn.now));
            Some(Bar { class: class(row.status), at: self.drawn.axis.stretch(from, to) })
        };
        let current = self.drawn.focus == Some(step.seq);
        let mut notes: Vec<String> = untold(&step.branch, &step.name).into_iter().collect();
        notes.extend(reused(step));
        if step.attempt > 1 {
            notes.push(format!("attempt {}", step.attempt));
        }
        if step.allow_failure && step.status == StepStatus::Failure {
            notes.push("may fail".to_owned());
        }
        StepLine {
            seq: step.seq,
            name: step.name.clone(),
            label: notes.join(" · "),
            status: step.status.as_str(),
            depth: depth.min(DEEPEST),
            group: false,
            critical: self.drawn.critical.contains(&step.seq),
            current,
            href: Some(format!("?step={0}#s{0}", step.seq)),
            took: match span {
                Some(span) => duration(span.millis()),
                None if step.status.is_terminal() => "not run".to_owned(),
                None => "waits".to_owned(),
            },
            slower: slower.map(|times| format!("{times:.1}× usual")),
            usual: usual.map(|(_, usual)| format!("usually {}", duration(usual))),
            mark: usual.and_then(|(span, usual)| self.drawn.axis.moment(span.from, usual)),
            bars: drawn.iter().filter_map(bar).collect(),
        }
    }
}

fn newest(rows: &[StepRow]) -> impl Iterator<Item = &StepRow> {
    let last = move |i: usize, row: &StepRow| rows.get(i + 1).is_none_or(|after| after.seq != row.seq);
    rows.iter().enumerate().filter(move |(i, row)| last(*i, row)).map(|(_, row)| row)
}

/// The state of several steps: what a person should know first.
fn together(steps: &[&StepRow]) -> StepStatus {
    const WORST: [StepStatus; 6] = [
        StepStatus::Failure,
        StepStatus::Timeout,
        StepStatus::Running,
        StepStatus::Pending,
        StepStatus::Cancelled,
        StepStatus::Success,
    ];
    let counts = |step: &&&StepRow| !(step.allow_failure && step.status == StepStatus::Failure);
    let has = |status: &StepStatus| steps.iter().filter(|step| counts(step)).any(|step| step.status == *status);
    WORST.into_iter().find(has).unwrap_or(if steps.is_empty() { StepStatus::Skipped } else { StepStatus::Success })
}

/// Which job ran a step that this one did not run.
pub(in crate::web) fn reused(step: &StepRow) -> Option<String> {
    step.reused_from?;
    Some(format!("reused from {}", step.reused_label.as_deref().unwrap_or("an earlier job")))
}

const fn class(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Success => "ok",
        StepStatus::Failure | StepStatus::Timeout => "bad",
        StepStatus::Running => "run",
        StepStatus::Pending | StepStatus::Cancelled | StepStatus::Skipped => "wait",
    }
}

fn counted(n: usize, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}
