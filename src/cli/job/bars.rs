//! Steps on the job's axis of time, and as a tree of their branches.
use jiff::Timestamp;

use crate::cli::client::{Job, Step, branches};
use crate::cli::style::{Cell, Colour, Look, step_state, table, took};
use crate::model::step::StepStatus;

/// Characters of the axis.
const WIDTH: i64 = 32;

/// The list of steps.
pub(super) fn steps(job: &Job, now: Timestamp, look: Look) -> String {
    let axis = Axis::of(job, now);
    let mut rows: Vec<[Cell; 6]> = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    for step in &job.steps {
        let path = branches(&step.branch);
        let same = open.iter().zip(&path).take_while(|(a, b)| a == b).count();
        for (depth, name) in path.iter().enumerate().skip(same) {
            let heading = format!("{}{name}", "  ".repeat(depth));
            rows.push(["".into(), "".into(), Cell::new(&heading).colour(Colour::Dim), "".into(), "".into(), "".into()]);
        }
        rows.push(row(step, path.len(), &axis, now));
        open = path;
    }
    let length = format!("0 … {}", took(axis.from, axis.to));
    table(["#", "STATE", "STEP", "TOOK", length.as_str(), ""], &rows, look)
}

fn row(step: &Step, depth: usize, axis: &Axis, now: Timestamp) -> [Cell; 6] {
    let shape = step_state(step.status, step.allow_failure);
    let attempt = if step.attempt > 1 { format!(" (attempt {})", step.attempt) } else { String::new() };
    let name = format!("{}{}{attempt}", "  ".repeat(depth), step.name);
    let age = step.started_at.map_or_else(String::new, |from| took(from, step.finished_at.unwrap_or(now)));
    let why = if step.status == StepStatus::Success { None } else { step.why() };
    let bar = Cell::new(&axis.bar(step, now)).colour(shape.colour());
    [step.n.to_string().into(), shape.into(), name.into(), age.into(), bar, why.unwrap_or_default().into()]
}

/// The job's time.
struct Axis {
    from: Timestamp,
    to: Timestamp,
}

impl Axis {
    fn of(job: &Job, now: Timestamp) -> Self {
        let starts = job.steps.iter().filter_map(|step| step.started_at);
        let from = job.started_at.into_iter().chain(starts).min().unwrap_or(job.created_at);
        let ends = job.steps.iter().filter_map(|step| step.finished_at);
        let to = ends.chain([job.finished_at.unwrap_or(now), from]).max().unwrap_or(from);
        Self { from, to }
    }

    /// The characters of a step: its time filled, the rest dotted.
    fn bar(&self, step: &Step, now: Timestamp) -> String {
        let Some(from) = step.started_at else { return String::new() };
        let begin = self.place(from).min(WIDTH - 1);
        let end = self.place(step.finished_at.unwrap_or(now)).clamp(begin + 1, WIDTH);
        (0..WIDTH).map(|at| if (begin..end).contains(&at) { '█' } else { '·' }).collect()
    }

    fn place(&self, at: Timestamp) -> i64 {
        let length = (self.to.as_millisecond() - self.from.as_millisecond()).max(1);
        ((at.as_millisecond() - self.from.as_millisecond()).clamp(0, length)) * WIDTH / length
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
2  ✗ failure    test       4.0 s   ········████████················  exit code 2
              python=3.12
3  ● running    test       12.0 s  ········████████████████████████
4  ◌ pending  evil\u{fffd}[2J
";
        assert_eq!(steps(&job, at(16), Look::bare()), expected);
    }

    #[test]
    fn a_step_without_length_is_still_seen() {
        let mut job = job(Status::Success);
        job.started_at = Some(at(0));
        job.finished_at = Some(at(100));
        let axis = Axis::of(&job, at(500));
        let short = Step { started_at: Some(at(100)), finished_at: Some(at(100)), ..step(1, "x", StepStatus::Success) };
        assert!(axis.bar(&short, at(500)).ends_with("·█"));
    }
}
