//! What changed in a job since the last look, as lines for people.
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::job::{Job, Step};
use super::log_end::LogEnd;
use crate::cli::style::{Colour, Look, plain, state, step_state, took};
use crate::model::job::Status;
use crate::model::step::StepStatus;

/// What was told already.
#[derive(Debug, Default)]
pub(super) struct Progress {
    job: Option<(Status, u32)>,
    parked: Option<String>,
    cancelled: bool,
    steps: BTreeMap<u32, (u32, StepStatus)>,
}

impl Progress {
    /// The lines that are new. `starts`: also that a step began, where no live line shows it.
    pub(super) fn lines(&mut self, job: &Job, look: Look, starts: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let before = self.job.replace((job.status, job.attempt));
        match (before, job.status) {
            (None, _) => {
                lines.push(heading(job, look));
                if job.status == Status::Pending && starts {
                    lines.push(format!("{} the job waits for its turn", look.paint(Colour::Dim, "◌")));
                }
            }
            (Some((Status::Running, attempt)), Status::Pending) => {
                let shape = look.paint(Colour::Dim, "◌");
                lines.push(format!("{shape} attempt {attempt} was lost with its machine; the job waits for another"));
            }
            _ => {}
        }
        if job.parked != self.parked {
            self.parked.clone_from(&job.parked);
            if let Some(reason) = &job.parked {
                lines.push(format!("{} the job waits for: {}", look.paint(Colour::Busy, "●"), plain(reason)));
            }
        }
        if let Some(by) = job.cancel_requested_by.as_ref().filter(|_| !self.cancelled) {
            self.cancelled = true;
            lines.push(format!("{} {} asked for the end of the job", look.paint(Colour::Dim, "⊘"), plain(by)));
        }
        for step in &job.steps {
            let before = self.steps.insert(step.n, (step.attempt, step.status));
            if before == Some((step.attempt, step.status)) {
                continue;
            }
            match step.status {
                StepStatus::Pending => {}
                StepStatus::Running => lines.extend(starts.then(|| begun(step, look))),
                _ => lines.push(ended(step, look)),
            }
        }
        lines
    }
}

/// What stands at the bottom of a terminal while the job runs: the job, and the steps that run.
pub(super) fn live(job: &Job, lost: bool, now: Timestamp) -> Vec<String> {
    let age = took(job.started_at.unwrap_or(job.created_at), now);
    let name = plain(&job.label());
    if lost {
        return vec![format!("◌ {name}: the connection is lost, trying again")];
    }
    if job.status == Status::Pending {
        let why = job.waiting.as_deref().map_or_else(String::new, |why| format!(": {}", plain(why)));
        return vec![format!("◌ {name} waits {age}{why}")];
    }
    let running: Vec<&Step> = job.steps.iter().filter(|step| step.status == StepStatus::Running).collect();
    let done = job.steps.iter().filter(|step| step.finished_at.is_some()).count();
    let so_far = if done == 0 { String::new() } else { format!(" · {done} done") };
    let mut lines = vec![format!("● {name} {age}{so_far}")];
    for (at, step) in running.iter().enumerate() {
        let branch = if at + 1 == running.len() { "└─" } else { "├─" };
        let age = step.started_at.map_or_else(String::new, |from| took(from, now));
        lines.push(format!("  {branch} ● {}  {age}", label(step)));
    }
    lines
}

/// How it ended, why, and where to look.
pub(super) fn summary(job: &Job, end: Option<&LogEnd>, look: Look) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(end) = end {
        lines.extend(end.shown(&job.label(), look));
    }
    let took =
        job.started_at.zip(job.finished_at).map_or_else(String::new, |(from, to)| format!(" in {}", took(from, to)));
    let reason = job.reason.as_ref().filter(|_| job.status != Status::Success);
    let why = reason.map_or_else(String::new, |reason| format!(": {}", plain(reason)));
    let label = look.paint(Colour::Bold, &plain(&job.label()));
    lines.push(format!("{} {label}{took}{why}", state(job.status).paint(look)));
    lines
}

fn heading(job: &Job, look: Look) -> String {
    let subject: String = plain(job.subject()).chars().take(80).collect();
    let label = look.paint(Colour::Bold, &plain(&job.label()));
    let line = format!("{label}  {} {}  {subject}", plain(job.line()), plain(job.short_commit()));
    line.trim_end().to_owned()
}

fn begun(step: &Step, look: Look) -> String {
    format!("{} {}", look.paint(Colour::Busy, "●"), label(step))
}

fn ended(step: &Step, look: Look) -> String {
    let shape = step_state(step.status, step.allow_failure).shape(look);
    let took = match &step.reused_from {
        Some(from) => format!("  reused from {}", plain(&from.label)),
        None => {
            step.started_at.zip(step.finished_at).map_or_else(String::new, |(from, to)| format!("  {}", took(from, to)))
        }
    };
    let word = match step.status {
        StepStatus::Success => String::new(),
        StepStatus::Failure => step.why().map_or_else(|| "  failed".to_owned(), |why| format!("  {}", plain(&why))),
        other => step.why().map_or_else(|| format!("  {other}"), |why| format!("  {other}: {}", plain(&why))),
    };
    let allowed = if step.allow_failure && step.status != StepStatus::Success { " (may fail)" } else { "" };
    format!("{shape} {}{took}{word}{allowed}", label(step))
}

/// A step's name with the branch and the attempt, where there are such.
fn label(step: &Step) -> String {
    let place = step.place().map_or_else(String::new, |place| format!(" [{}]", plain(place)));
    let attempt = if step.attempt > 1 { format!(" (attempt {})", step.attempt) } else { String::new() };
    format!("{}{place}{attempt}", plain(&step.name))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, job, step};
    use super::*;

    const BARE: Look = Look::bare();

    #[test]
    fn a_step_is_told_when_it_starts_and_when_it_ends_and_never_twice() {
        let mut progress = Progress::default();
        let mut told = Vec::new();
        let mut job = job(Status::Pending);
        told.extend(progress.lines(&job, BARE, true));
        job.status = Status::Running;
        job.steps = vec![step(1, "lint", StepStatus::Running)];
        told.extend(progress.lines(&job, BARE, true));
        told.extend(progress.lines(&job, BARE, true));
        job.steps[0] = Step { finished_at: Some(at(3)), ..step(1, "lint", StepStatus::Success) };
        job.steps.push(Step { branch: "/matrix#0[python=3.11]".into(), ..step(2, "test", StepStatus::Running) });
        told.extend(progress.lines(&job, BARE, true));
        job.steps[1] = Step { attempt: 2, ..job.steps[1].clone() };
        told.extend(progress.lines(&job, BARE, true));
        job.steps[1] =
            Step { status: StepStatus::Failure, exit_code: Some(1), finished_at: Some(at(72)), ..job.steps[1].clone() };
        told.extend(progress.lines(&job, BARE, true));
        let expected = "web#42  main 9f3c1ab0  Reject bare carriage returns\n\
                        ◌ the job waits for its turn\n\
                        ● lint\n\
                        ✓ lint  3.0 s\n\
                        ● test [python=3.11]\n\
                        ● test [python=3.11] (attempt 2)\n\
                        ✗ test [python=3.11] (attempt 2)  1 min 12 s  exit code 1";
        assert_eq!(told.join("\n"), expected);
    }

    #[test]
    fn a_lost_attempt_an_approval_and_a_cancel_are_told_once() {
        let mut progress = Progress::default();
        let mut told = Vec::new();
        let mut job = job(Status::Running);
        progress.lines(&job, BARE, true);
        for _ in 0..2 {
            job.parked = Some("approval of \u{1b}[2J ops".to_owned());
            told.extend(progress.lines(&job, BARE, true));
        }
        for _ in 0..2 {
            job.cancel_requested_by = Some("mina@example.com".to_owned());
            told.extend(progress.lines(&job, BARE, true));
        }
        job.status = Status::Pending;
        told.extend(progress.lines(&job, BARE, true));
        let expected = "● the job waits for: approval of \u{fffd}[2J ops\n\
                        ⊘ mina@example.com asked for the end of the job\n\
                        ◌ attempt 1 was lost with its machine; the job waits for another";
        assert_eq!(told.join("\n"), expected);
    }

    #[test]
    fn the_live_line_shows_what_runs_and_for_how_long() {
        let mut job = job(Status::Pending);
        job.waiting = Some("the group 'deploy' is busy".to_owned());
        assert_eq!(live(&job, false, at(4)), ["◌ web#42 waits 4.0 s: the group 'deploy' is busy"]);
        job.status = Status::Running;
        job.started_at = Some(at(1));
        assert_eq!(live(&job, false, at(4)), ["● web#42 3.0 s"]);
        let done = Step { finished_at: Some(at(1)), ..step(1, "lint", StepStatus::Success) };
        job.steps = vec![done, step(2, "test", StepStatus::Running)];
        assert_eq!(live(&job, false, at(4)), ["● web#42 3.0 s · 1 done", "  └─ ● test  4.0 s"]);
        job.steps[0] = Step { branch: "/matrix#0[python=3.11]".into(), ..step(1, "lint", StepStatus::Running) };
        let both = ["● web#42 3.0 s", "  ├─ ● lint [python=3.11]  4.0 s", "  └─ ● test  4.0 s"];
        assert_eq!(live(&job, false, at(4)), both);
        assert!(live(&job, true, at(4))[0].contains("trying again"));
    }

    #[test]
    fn the_end_says_why_and_where_to_look() {
        let mut job = job(Status::Failure);
        job.started_at = Some(at(1));
        job.finished_at = Some(at(25));
        job.reason = Some("step \"test\" failed: exit code 1".to_owned());
        let lines = vec!["AssertionError: not raised".to_owned()];
        let end = LogEnd { step: 2, name: "test".to_owned(), first: false, lines };
        let expected = "  the last lines of step 2, test:\n  │ AssertionError: not raised\n  \
                        all of it: danube logs 'web#42' --step 2\n\
                        ✗ failure web#42 in 24.0 s: step \"test\" failed: exit code 1";
        assert_eq!(summary(&job, Some(&end), BARE).join("\n"), expected);
    }
}
