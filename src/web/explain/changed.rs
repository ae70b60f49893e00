//! What changed since the last green run of the branch.
use super::answer::{Changed, Commit, Since};
use super::evidence::Evidence;
use crate::model::job::Status;
use crate::store::JobRow;
use crate::web::view::first_line;

/// Steps that are named.
const NAMED: usize = 10;

pub(super) fn changed(evidence: &Evidence) -> Option<Changed> {
    let job = &evidence.job;
    if !matches!(job.status, Status::Failure | Status::Timeout) {
        return None;
    }
    let passed = evidence.greens.iter().chain(&evidence.greens_after).find(|green| green.commit_sha == job.commit_sha);
    let passed = passed.map(|green| green.label());
    let Some(green) = &evidence.base else {
        let sentence = match &passed {
            Some(passed) => format!("The same commit passed in {passed}: maybe flaky."),
            None => format!("No run of {} was green before.", branch(evidence)),
        };
        return Some(Changed { passed, sentence, ..Changed::default() });
    };
    let between = evidence.between.clone().unwrap_or_default();
    let host = evidence.host.as_ref();
    let commit = |revision: crate::model::trigger::Revision| Commit {
        author: revision.author.split(" <").next().unwrap_or_default().to_owned(),
        subject: first_line(&revision.message),
        url: host.map(|host| host.commit(&revision.commit)),
        sha: revision.commit,
    };
    let (steps_new, steps_gone) = steps(evidence);
    let mut changed = Changed {
        since: Some(Since {
            job: green.label(),
            number: green.number,
            branch: green.branch.clone(),
            commit: green.commit_sha.clone(),
            finished_at: green.finished_at,
            url: format!("/jobs/{}", green.id),
        }),
        commits: between.commits.into_iter().map(commit).collect(),
        total: between.total,
        uncounted: between.uncounted,
        files: between.files,
        paths: between.paths,
        rewritten: between.rewritten,
        danubefile: between.watched,
        config: green.config_commit != job.config_commit,
        pipeline: green.snapshot != job.snapshot,
        steps_new,
        steps_gone,
        passed,
        sentence: String::new(),
        url: host.filter(|_| green.commit_sha != job.commit_sha).map(|h| h.compare(&green.commit_sha, &job.commit_sha)),
    };
    changed.sentence = sentence(&changed, evidence, green);
    Some(changed)
}

fn sentence(changed: &Changed, evidence: &Evidence, green: &JobRow) -> String {
    let mut parts = Vec::new();
    match (green.commit_sha == evidence.job.commit_sha, &evidence.between) {
        (true, _) => {}
        (false, None) => parts.push("another commit (the copy of the repository does not have both)".to_owned()),
        (false, Some(_)) => {
            let more = if changed.uncounted { "more than " } else { "" };
            parts.push(format!("{more}{}", counted(changed.total, "commit", "commits")));
            parts.push(counted(changed.files, "file", "files"));
        }
    }
    if changed.rewritten {
        parts.push("the branch was moved by force".to_owned());
    }
    if changed.danubefile {
        parts.push("the danubefile".to_owned());
    }
    if changed.pipeline {
        parts.push("the pipeline's configuration".to_owned());
    }
    if evidence.greens.is_empty() {
        // A new branch: all that it brings is its own.
        let what = if parts.is_empty() { "nothing changed".to_owned() } else { parts.join(", ") };
        let number = green.number;
        return format!(
            "No run of {} was green before. Compared with #{number} of {}, which was: {what}.",
            branch(evidence),
            if green.branch.is_empty() { "this pipeline" } else { &green.branch }
        );
    }
    let since = format!("since #{} was green", green.number);
    let flaky = changed.passed.as_ref().filter(|_| !changed.pipeline);
    match (parts.is_empty(), flaky) {
        (true, Some(passed)) => format!("The same commit passed in {passed}, and nothing changed: maybe flaky."),
        (false, Some(passed)) => {
            format!("The same commit passed in {passed}: maybe flaky. Changed {since}: {}.", parts.join(", "))
        }
        (true, None) => format!("Nothing changed {since}."),
        (false, None) => format!("Changed {since}: {}.", parts.join(", ")),
    }
}

fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn branch(evidence: &Evidence) -> String {
    let branch = &evidence.job.branch;
    if branch.is_empty() { "this pipeline".to_owned() } else { format!("the branch {branch}") }
}

/// Steps that only this run has, and steps that only the green one had where this one was past them.
fn steps(evidence: &Evidence) -> (Vec<String>, Vec<String>) {
    let green = evidence.usual.of_last_green();
    if green.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let new = evidence.spans.iter().filter(|span| !green.contains(&span.same));
    let new: Vec<String> = new.take(NAMED).map(|span| span.same.name.clone()).collect();
    // A red run breaks off, so a missing step says something only where a later one of its line did run.
    let ran: std::collections::HashSet<_> = evidence.spans.iter().map(|span| &span.same).collect();
    let mut gone = Vec::new();
    for (place, span) in evidence.green_steps.iter().enumerate() {
        let later = evidence.green_steps[place + 1..].iter();
        let later = later.filter(|other| other.same.branch == span.same.branch).any(|other| ran.contains(&other.same));
        if !ran.contains(&span.same) && later && gone.len() < NAMED {
            gone.push(span.same.name.clone());
        }
    }
    (new, gone)
}
