//! Steps on the job's axis of time, and as a tree of their branches.
use std::collections::HashMap;

use jiff::Timestamp;

use crate::cli::client::{Job, Step, Summary, branches, calls};
use crate::cli::style::{Cell, Colour, Look, step_state, table, took};
use crate::model::step::StepStatus;

/// Characters of the axis.
const WIDTH: usize = 32;
/// The same on a terminal with few columns.
const NARROW: usize = 16;
/// Terminals with fewer columns have few.
const ROOMY: usize = 100;

/// A line of the tree: a branch, or a step.
struct Node<'a> {
    depth: usize,
    branch: &'a str,
    step: Option<&'a Step>,
}

/// The list of steps.
pub(super) fn steps(job: &Job, why: &Summary, now: Timestamp, look: Look) -> String {
    let narrow = look.columns().is_some_and(|columns| columns < ROOMY);
    let axis = Axis::of(job, now, if narrow { NARROW } else { WIDTH });
    let nodes = nodes(job);
    let row = |(at, node): (usize, &Node<'_>)| {
        let lead = lead(&nodes, at);
        match node.step {
            Some(step) => row(step, &lead, &axis, why, now),
            None => {
                let heading = Cell::new(&format!("{lead}{}", node.branch)).colour(Colour::Dim);
                ["".into(), "".into(), heading, "".into(), "".into(), "".into()]
            }
        }
    };
    let rows: Vec<[Cell; 6]> = nodes.iter().enumerate().map(row).collect();
    let length = format!("0 … {}", took(axis.from, axis.to));
    table(["#", "STATE", "STEP", "TOOK", length.as_str(), ""], &rows, look)
}

/// Steps below the branches that they stand in. Side by side they began in turns; here each branch stands where its
/// first step began, with all of its own.
fn nodes(job: &Job) -> Vec<Node<'_>> {
    let mut nodes = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    let mut seen: HashMap<Vec<&str>, usize> = HashMap::new();
    let mut steps: Vec<_> = job
        .steps
        .iter()
        .enumerate()
        .map(|(number, step)| {
            let calls = calls(&step.branch);
            let mut place: Vec<usize> =
                (1..=calls.len()).map(|part| *seen.entry(calls[..part].to_vec()).or_insert(number)).collect();
            place.push(number);
            (place, branches(&step.branch), step)
        })
        .collect();
    steps.sort_by(|one, other| one.0.cmp(&other.0));
    for (_, path, step) in steps {
        let same = open.iter().zip(&path).take_while(|(a, b)| a == b).count();
        for (depth, branch) in path.iter().enumerate().skip(same) {
            nodes.push(Node { depth, branch, step: None });
        }
        nodes.push(Node { depth: path.len(), branch: "", step: Some(step) });
        open = path;
    }
    nodes
}

/// The lines of the tree before a node: which branches go on below it.
fn lead(nodes: &[Node<'_>], at: usize) -> String {
    let goes_on = |depth: usize| {
        let below = nodes[at + 1..].iter().find(|node| node.depth <= depth);
        below.is_some_and(|node| node.depth == depth)
    };
    let depth = nodes[at].depth;
    let mut lead: String = (1..depth).map(|depth| if goes_on(depth) { "│  " } else { "   " }).collect();
    if depth > 0 {
        lead.push_str(if goes_on(depth) { "├─ " } else { "└─ " });
    }
    lead
}

fn row(step: &Step, lead: &str, axis: &Axis, why: &Summary, now: Timestamp) -> [Cell; 6] {
    let shape = step_state(step.status, step.allow_failure);
    let attempt = if step.attempt > 1 { format!(" (attempt {})", step.attempt) } else { String::new() };
    let name = format!("{lead}{}{attempt}", step.name);
    let age = step.started_at.map_or_else(String::new, |from| took(from, step.finished_at.unwrap_or(now)));
    let cause = if step.status == StepStatus::Success { None } else { step.why() };
    let slow = why.slow.iter().flat_map(|slow| &slow.steps).find(|slow| slow.n == step.n);
    let slow = slow.map(|slow| format!("{:.1}× usual", slow.times_usual));
    let reused = step.reused_from.as_ref().map(|from| format!("reused from {}", from.label));
    let told: Vec<String> = reused.into_iter().chain(cause).chain(slow).collect();
    let bar = Cell::new(&axis.bar(step, now)).colour(shape.colour()).whole();
    let age = Cell::new(&age).whole();
    [Cell::new(&step.n.to_string()).whole(), shape.into(), name.into(), age, bar, told.join(", ").into()]
}

/// The job's time.
struct Axis {
    from: Timestamp,
    to: Timestamp,
    width: usize,
}

impl Axis {
    fn of(job: &Job, now: Timestamp, width: usize) -> Self {
        let own = || job.steps.iter().filter(|step| step.reused_from.is_none());
        let starts = own().filter_map(|step| step.started_at);
        let from = job.started_at.into_iter().chain(starts).min().unwrap_or(job.created_at);
        let ends = own().filter_map(|step| step.finished_at);
        let to = ends.chain([job.finished_at.unwrap_or(now), from]).max().unwrap_or(from);
        Self { from, to, width }
    }

    /// The characters of a step: its time filled, the rest dotted.
    fn bar(&self, step: &Step, now: Timestamp) -> String {
        let Some(from) = step.started_at.filter(|_| step.reused_from.is_none()) else { return String::new() };
        let begin = self.place(from).min(self.width - 1);
        let end = self.place(step.finished_at.unwrap_or(now)).clamp(begin + 1, self.width);
        (0..self.width).map(|at| if (begin..end).contains(&at) { '█' } else { '·' }).collect()
    }

    fn place(&self, at: Timestamp) -> usize {
        let length = (self.to.as_millisecond() - self.from.as_millisecond()).max(1);
        let along = i128::from((at.as_millisecond() - self.from.as_millisecond()).clamp(0, length));
        usize::try_from(along * self.width as i128 / i128::from(length)).unwrap_or(self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::tests::{at, job, step};
    use crate::model::job::Status;

    #[test]
    fn steps_stand_on_the_axis_and_under_their_branches() {
        let mut job = job(Status::Running);
        job.started_at = Some(at(0));
        let branch = |name: &str| format!("/matrix#0[python={name}]");
        job.steps = vec![
            Step { finished_at: Some(at(4)), ..step(1, "lint", StepStatus::Success) },
            Step {
                started_at: Some(at(4)),
                finished_at: Some(at(8)),
                branch: branch("3.11"),
                exit_code: Some(2),
                ..step(2, "test", StepStatus::Failure)
            },
            Step { started_at: Some(at(4)), branch: branch("3.12"), ..step(3, "test", StepStatus::Running) },
            Step { started_at: None, ..step(4, "evil\u{1b}[2J", StepStatus::Pending) },
        ];
        let expected = "\
#  STATE      STEP         TOOK    0 … 16.0 s
1  ✓ success  lint         4.0 s   ████████························
              python=3.11
2  ✗ failure  └─ test      4.0 s   ········████████················  exit code 2
              python=3.12
3  ● running  └─ test      12.0 s  ········████████████████████████
4  ◌ pending  evil\u{fffd}[2J
";
        assert_eq!(steps(&job, &Summary::default(), at(16), Look::bare()), expected);
        let narrow = steps(&job, &Summary::default(), at(16), Look::narrow(60));
        assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
    }

    #[test]
    fn a_step_without_length_is_still_seen() {
        let mut job = job(Status::Success);
        job.started_at = Some(at(0));
        job.finished_at = Some(at(100));
        let axis = Axis::of(&job, at(500), WIDTH);
        let short = Step { started_at: Some(at(100)), finished_at: Some(at(100)), ..step(1, "x", StepStatus::Success) };
        assert!(axis.bar(&short, at(500)).ends_with("·█"));
    }

    #[test]
    fn nested_branches_are_drawn_as_a_tree() {
        let mut job = job(Status::Running);
        let within =
            |n: u32, name: &str, branch: &str| Step { branch: branch.into(), ..step(n, name, StepStatus::Running) };
        job.steps = vec![
            within(1, "a", "/parallel#0[x]"),
            within(2, "b", "/parallel#0[x]/matrix#0[os=1]"),
            within(3, "c", "/parallel#0[x]/matrix#0[os=2]"),
            within(4, "d", ""),
            within(5, "e", "/parallel#0[x]/matrix#0[os=1]"),
        ];
        let text = steps(&job, &Summary::default(), at(16), Look::bare());
        let names: Vec<String> = text
            .lines()
            .skip(1)
            .map(|line| line.chars().skip(14).take(12).collect::<String>().trim_end().to_owned())
            .collect();
        assert_eq!(names, ["parallel#0[x", "├─ a", "├─ os=1", "│  ├─ b", "│  └─ e", "└─ os=2", "   └─ c", "d"]);
    }
}
