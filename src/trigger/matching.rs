//! Which pipelines an event starts. Pure: what changed in the repository is asked of the caller.
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::model::PipelineId;
use crate::model::settings::{Pipeline, TriggerRule};
use crate::model::trigger::RepoEvent;

/// What happened in a repository, as it was read from the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// A branch moved or a tag was made.
    pub event: RepoEvent,
    /// The branch or tag.
    pub name: String,
    /// The message of the commit it now points to.
    pub message: String,
}

/// Whether a pipeline is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Matched,
    /// It is not.
    NotMatched(Why),
}

/// Why an event does not start a pipeline. The text completes the sentence "pipeline web: …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// None of its triggers names the event.
    #[error("no trigger for this event")]
    NoTrigger,
    /// The branch is outside its filter.
    #[error("the branch is not in branch_filter")]
    Branch,
    /// The commit asks for no job.
    #[error("the commit message says [skip ci]")]
    SkipCi,
    /// Nothing it looks at has changed.
    #[error("no changed file matches paths")]
    Paths,
}

/// Decides for each pipeline of the repository. `changed` tells whether a file that matches the globs differs
/// between the commit before and the head; it is asked last, because it is the only dear question.
pub fn pipelines<E>(
    change: &Change,
    pipelines: &[(PipelineId, &Pipeline)],
    mut changed: impl FnMut(&[String]) -> Result<bool, E>,
) -> Result<Vec<(PipelineId, Verdict)>, E> {
    let mut verdicts = Vec::with_capacity(pipelines.len());
    for (id, pipeline) in pipelines {
        let verdict = match refused(change, pipeline) {
            Some(why) => Verdict::NotMatched(why),
            None if pipeline.paths.is_empty() || changed(&pipeline.paths)? => Verdict::Matched,
            None => Verdict::NotMatched(Why::Paths),
        };
        verdicts.push((*id, verdict));
    }
    Ok(verdicts)
}

fn refused(change: &Change, pipeline: &Pipeline) -> Option<Why> {
    if !pipeline.triggers.iter().any(|rule| starts(rule, change.event)) {
        return Some(Why::NoTrigger);
    }
    // A tag is on no branch: the filter says nothing about it.
    if change.event != RepoEvent::Tag && !branch_matches(&pipeline.branch_filter, &change.name) {
        return Some(Why::Branch);
    }
    asks_for_no_job(&change.message).then_some(Why::SkipCi)
}

fn starts(rule: &TriggerRule, event: RepoEvent) -> bool {
    match (rule, event) {
        (TriggerRule::Push, RepoEvent::Push)
        | (TriggerRule::Tag, RepoEvent::Tag)
        | (TriggerRule::PullRequest, RepoEvent::PullRequest) => true,
        (TriggerRule::Push | TriggerRule::Tag | TriggerRule::PullRequest, _)
        | (TriggerRule::Manual | TriggerRule::Cron { .. }, _) => false,
    }
}

/// Whether a branch passes a filter; an empty filter lets every branch pass. `*` stops at `/`, `**` does not.
pub fn branch_matches(filter: &[String], branch: &str) -> bool {
    // A glob that cannot be read matches nothing: the config repo's check refuses it with its place.
    filter.is_empty() || globs(filter).is_ok_and(|set| set.is_match(branch))
}

fn globs(patterns: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(GlobBuilder::new(pattern).literal_separator(true).build()?);
    }
    set.build()
}

fn asks_for_no_job(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("[skip ci]") || message.contains("[ci skip]")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::model::settings::Concurrency;

    fn pipeline(triggers: &[TriggerRule], filter: &[&str], paths: &[&str]) -> Pipeline {
        let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        Pipeline {
            name: "web".into(),
            team: "web".into(),
            repository: "https://git.example.com/web/shop".into(),
            branch_filter: owned(filter),
            triggers: triggers.to_vec(),
            paths: owned(paths),
            script: "danubefile.py".into(),
            max_duration_seconds: 3600,
            workspace_size_gb: 5,
            caps: Vec::new(),
            permissions: Vec::new(),
            egress_allowlist: None,
            concurrency: Concurrency::default(),
            attempts: 1,
            secrets: Vec::new(),
            params: Vec::new(),
            protected_branches: crate::model::settings::usual_branches(),
        }
    }

    fn change(event: RepoEvent, name: &str, message: &str) -> Change {
        Change { event, name: name.into(), message: message.into() }
    }

    fn verdict(change: &Change, pipeline: &Pipeline) -> Verdict {
        let id = PipelineId::from_uuid(uuid::Uuid::nil());
        let docs_only = |globs: &[String]| Ok::<_, Infallible>(globs.iter().any(|g| g == "docs/**"));
        pipelines(change, &[(id, pipeline)], docs_only).unwrap()[0].1
    }

    #[test]
    fn a_trigger_answers_its_own_event_only() {
        let push = change(RepoEvent::Push, "main", "");
        let tag = change(RepoEvent::Tag, "v1", "");
        let on_push = pipeline(&[TriggerRule::Push], &[], &[]);
        let on_tag = pipeline(&[TriggerRule::Manual, TriggerRule::Tag], &["main"], &[]);
        assert_eq!(verdict(&push, &on_push), Verdict::Matched);
        assert_eq!(verdict(&tag, &on_push), Verdict::NotMatched(Why::NoTrigger));
        assert_eq!(verdict(&tag, &on_tag), Verdict::Matched);
        assert_eq!(verdict(&push, &on_tag), Verdict::NotMatched(Why::NoTrigger));
    }

    #[test]
    fn a_branch_filter_is_a_list_of_globs() {
        let filtered = pipeline(&[TriggerRule::Push], &["main", "release/*", "team/**"], &[]);
        for (branch, passes) in [
            ("main", true),
            ("main2", false),
            ("release/1", true),
            ("release/1/x", false),
            ("team/a/b", true),
            ("-x", false),
        ] {
            let matched = verdict(&change(RepoEvent::Push, branch, ""), &filtered) == Verdict::Matched;
            assert_eq!(matched, passes, "{branch}");
        }
    }

    #[test]
    fn skip_ci_in_the_message_starts_nothing() {
        let on_push = pipeline(&[TriggerRule::Push], &[], &[]);
        for message in ["Fix [skip ci]", "Fix\n\n[ci skip]", "[Skip CI] x"] {
            let verdict = verdict(&change(RepoEvent::Push, "main", message), &on_push);
            assert_eq!(verdict, Verdict::NotMatched(Why::SkipCi), "{message}");
        }
        assert_eq!(verdict(&change(RepoEvent::Push, "main", "skip ci"), &on_push), Verdict::Matched);
    }

    #[test]
    fn paths_are_asked_last_and_decide() {
        let push = change(RepoEvent::Push, "main", "");
        assert_eq!(verdict(&push, &pipeline(&[TriggerRule::Push], &[], &["docs/**"])), Verdict::Matched);
        let code = pipeline(&[TriggerRule::Push], &[], &["src/**"]);
        assert_eq!(verdict(&push, &code), Verdict::NotMatched(Why::Paths));
        let id = PipelineId::from_uuid(uuid::Uuid::nil());
        let never = |_: &[String]| -> Result<bool, Infallible> { panic!("not worth asking") };
        let other = pipeline(&[TriggerRule::Push], &["release/*"], &["src/**"]);
        pipelines(&push, &[(id, &other)], never).unwrap();
    }
}
