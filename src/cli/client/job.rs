//! Jobs and steps as the API shows them: the fields that people are shown.
use jiff::Timestamp;
use serde::Deserialize;

use crate::model::JobId;
use crate::model::job::Status;
use crate::model::step::StepStatus;

/// A job.
#[derive(Debug, Clone, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its pipeline's name.
    pub pipeline: String,
    /// Its number within that.
    pub number: u64,
    /// Where it stands.
    pub status: Status,
    /// Why it ended so.
    pub reason: Option<String>,
    /// What person it waits for.
    pub parked: Option<String>,
    /// Why it exists: a word of the API.
    pub trigger: String,
    /// Who asked for it.
    pub actor: String,
    /// The branch.
    pub branch: String,
    /// The tag.
    pub tag: Option<String>,
    /// The commit.
    pub commit: String,
    /// The commit's message.
    pub message: String,
    /// The commit's author.
    pub author: String,
    /// Which attempt this is.
    pub attempt: u32,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Who wants it to stop.
    pub cancel_requested_by: Option<String>,
    /// Its steps; lists of jobs leave them out.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// The images that it pushed.
    #[serde(default)]
    pub images: Vec<PushedImage>,
    /// Why it does not run yet.
    #[serde(default)]
    pub waiting: Option<String>,
    /// Of an ended job: whether it can be run again from where it stopped.
    #[serde(default)]
    pub rerun_from_failed: Option<FromFailed>,
    /// How large its workspace may be.
    #[serde(default)]
    pub workspace: Option<Workspace>,
}

/// How large a job's workspace may be.
#[derive(Debug, Clone, Deserialize)]
pub struct Workspace {
    /// The limit, and what holds the job to it.
    pub said: String,
}

/// Whether a job can be run again from where it stopped.
#[derive(Debug, Clone, Deserialize)]
pub struct FromFailed {
    /// Why not; none: it can.
    pub why: Option<String>,
}

/// An image that a job pushed.
#[derive(Debug, Clone, Deserialize)]
pub struct PushedImage {
    /// Its repository with the registry's name.
    pub repository: String,
    /// Its tag.
    pub tag: Option<String>,
    /// `sha256:…`.
    pub digest: String,
}

/// The newest attempt of a step.
#[derive(Debug, Clone, Deserialize)]
pub struct Step {
    /// Its place in the job, from 1.
    pub n: u32,
    /// Its name.
    pub name: String,
    /// The branches that it stands in, as a path.
    pub branch: String,
    /// Where it stands.
    pub status: StepStatus,
    /// What its command gave.
    pub exit_code: Option<i32>,
    /// Why it ended so.
    pub reason: Option<String>,
    /// Which attempt this is.
    pub attempt: u32,
    /// The job may succeed without it.
    pub allow_failure: bool,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The job that ran it, where this one only took it over.
    #[serde(default)]
    pub reused_from: Option<ReusedFrom>,
}

/// The job that ran a step which another one took over.
#[derive(Debug, Clone, Deserialize)]
pub struct ReusedFrom {
    /// `web#42`.
    pub label: String,
}

/// A page of jobs, newest first.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// A job that was just asked for.
#[derive(Debug, Deserialize)]
pub struct Started {
    /// Its id.
    pub id: JobId,
    /// Its pipeline's name.
    pub pipeline: String,
    /// Its number within that.
    pub number: u64,
    /// The commit.
    pub commit: String,
    /// The branch.
    pub branch: String,
}

impl Job {
    /// `web#42`.
    pub fn label(&self) -> String {
        format!("{}#{}", self.pipeline, self.number)
    }

    /// The commit, short.
    pub fn short_commit(&self) -> &str {
        self.commit.get(..8).unwrap_or(&self.commit)
    }

    /// The tag, or the branch.
    pub fn line(&self) -> &str {
        self.tag.as_deref().unwrap_or(&self.branch)
    }

    /// The first line of the commit's message.
    pub fn subject(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    /// The step that made it fail.
    pub fn culprit(&self) -> Option<&Step> {
        let bad =
            |step: &&Step| matches!(step.status, StepStatus::Failure | StepStatus::Timeout) && !step.allow_failure;
        let failed = matches!(self.status, Status::Failure | Status::Timeout);
        self.steps.iter().filter(|_| failed).filter(bad).min_by_key(|step| (step.finished_at, step.n))
    }
}

impl Step {
    /// The innermost branch that it stands in, for people: `python=3.11` of `/matrix#0[python=3.11]`.
    pub fn place(&self) -> Option<&str> {
        branches(&self.branch).pop()
    }

    /// Why it ended so, in few words.
    pub fn why(&self) -> Option<String> {
        let code = || self.exit_code.filter(|code| *code != 0).map(|code| format!("exit code {code}"));
        self.reason.clone().or_else(code)
    }
}

/// The branches of a path, outermost first, as people know them. Axis values may hold slashes: only
/// those outside brackets part branches.
pub(in crate::cli) fn branches(path: &str) -> Vec<&str> {
    calls(path).into_iter().map(branch_name).collect()
}

/// The same parts with the calls that they belong to: two matrix calls may have branches of one name.
pub(in crate::cli) fn calls(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0usize, 0);
    for (at, c) in path.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '/' if depth == 0 => {
                parts.push(&path[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&path[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// `matrix#0[python=3.11]` is `python=3.11`, `parallel#0[1]` stays whole, `service:db#0` is `service:db`.
fn branch_name(part: &str) -> &str {
    match part.split_once('[') {
        Some((kind, values)) if kind.starts_with("matrix") => values.strip_suffix(']').unwrap_or(values),
        None if part.starts_with("service:") => part.rsplit_once('#').map_or(part, |(name, _)| name),
        _ => part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_read_as_people_wrote_them() {
        assert_eq!(branches(""), Vec::<&str>::new());
        assert_eq!(branches("/matrix#0[python=3.11,os=a/b]"), ["python=3.11,os=a/b"]);
        assert_eq!(branches("/parallel#0[1]/service:db#0"), ["parallel#0[1]", "service:db"]);
        assert_eq!(branches("]]//x["), ["]]", "x["]);
    }
}
