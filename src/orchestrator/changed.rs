//! `ctx.changed`: what a job's commit is compared with, and what came of it.
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::canonical::Canonical;
use super::{CallError, LiveJob, bounds};
use crate::mirror::Comparison;
use crate::store::jobs;

/// Characters of a path that an answer names.
const PATH: usize = 200;

/// The recorded answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// A matching file differs, or nothing is known to compare with.
    pub changed: bool,
    /// What was compared with; none: there is nothing.
    pub base: Option<Base>,
    /// The answer as a sentence, for the log.
    pub why: String,
}

/// What a commit was compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// How it was found.
    pub kind: BaseKind,
    /// The commit.
    pub commit: String,
    /// The job that built it: `web#12`.
    pub job: Option<String>,
}

/// How a base is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BaseKind {
    /// Where the pull request left the branch that it is to be merged into.
    MergeBase,
    /// The newest green run of the branch before this job.
    LastGreen,
}

/// A base, or why there is none; and how people call it.
enum Found {
    Base(Base, String),
    None(String),
}

impl LiveJob {
    /// Whether matching files differ from the base; true where there is none.
    pub async fn changed(&self, call: &Call, globs: &[String]) -> Result<Changed, CallError> {
        bounds::globs(globs)?;
        let canonical = Canonical::changed(globs);
        self.recorded(call, &canonical, self.compare(globs)).await
    }

    async fn compare(&self, globs: &[String]) -> Result<Changed, CallError> {
        let found = match &self.row.pr_base {
            Some(target) if self.row.pull_request.is_some() => self.merge_base(target).await?,
            _ => self.last_green().await?,
        };
        let (base, name) = match found {
            Found::Base(base, name) => (base, name),
            Found::None(why) => return Ok(Changed { changed: true, base: None, why }),
        };
        let head = self.row.commit_sha.clone();
        let compared = self.origin.compare(base.commit.clone(), head, globs.to_vec()).await?;
        let short = base.commit.get(..8).unwrap_or(&base.commit);
        let why = match &compared {
            Comparison::Same => format!("no matching file differs from {short}, {name}"),
            Comparison::Differs { path } => format!("{} differs from {short}, {name}", shown(path)),
            Comparison::NoBase => format!("it cannot be compared with {short}, {name}, which is not here"),
        };
        let why = self.masks.redact(&why);
        Ok(Changed { changed: compared != Comparison::Same, base: Some(base), why })
    }

    async fn merge_base(&self, target: &str) -> Result<Found, CallError> {
        let found = self.origin.merge_base(target.to_owned(), self.row.commit_sha.clone()).await?;
        Ok(match found {
            Some(commit) => {
                let base = Base { kind: BaseKind::MergeBase, commit, job: None };
                Found::Base(base, format!("the merge base with {target}"))
            }
            None => Found::None(format!("no merge base with {target} is known")),
        })
    }

    async fn last_green(&self) -> Result<Found, CallError> {
        let row = &self.row;
        let (id, pipeline, branch) = (row.id, row.pipeline_id, row.branch.clone());
        // A rerun is compared with what its first run was compared with: after a green run nothing would be left to do.
        let green = self.engine.store.read(move |view| {
            let first = jobs::first_run(view, id)?;
            jobs::find_last_green(view, pipeline, &branch, first)
        });
        let line = if row.branch.is_empty() { "any tag" } else { &row.branch };
        Ok(match green.await? {
            Some(green) => {
                let name = format!("the last green run of {line} ({})", green.label());
                let job = Some(green.label());
                Found::Base(Base { kind: BaseKind::LastGreen, commit: green.commit_sha, job }, name)
            }
            None => Found::None(format!("there is no green run of {line} to compare with")),
        })
    }
}

/// A path of a repository in one line of a log.
fn shown(path: &str) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    path.chars().take(PATH).map(clean).collect()
}
