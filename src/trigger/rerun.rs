//! A person or a token asks for an ended job once more: from the start or from where it stopped, at the same commit,
//! with the same params.
use crate::model::param;
use crate::model::trigger::Trigger;
use crate::model::{JobId, Principal};
use crate::queue::{self, NewJob};
use crate::store::{StoreError, Tx, config_commits, jobs, pipelines};

use super::{TriggerError, drain, no_workspace};

/// What became of the wish.
#[derive(Debug)]
pub enum Rerun {
    /// The new job.
    Job(JobId),
    /// No job, and why.
    Refused(TriggerError),
}

/// Where a rerun begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RerunFrom {
    /// At the start, in a fresh workspace.
    Start,
    /// Where the job stopped: in its workspace, with the answers of all that it had done well.
    Failed,
}

/// Makes the job within the transaction that notes who asked. It builds what the earlier one built, by the pipeline
/// and configuration in force now.
pub fn rerun_in(tx: &Tx<'_>, job: JobId, actor: Principal, from: RerunFrom) -> Result<Rerun, StoreError> {
    let old = jobs::get(tx, job)?;
    let row = pipelines::get(tx, old.pipeline_id)?;
    if drain::is_on(tx)? {
        return Ok(Rerun::Refused(TriggerError::Draining));
    }
    if !old.status.is_terminal() {
        return Ok(Rerun::Refused(TriggerError::NotEnded { job: old.label(), status: old.status }));
    }
    if from == RerunFrom::Failed
        && let Some(why) = no_workspace(tx, &old)?
    {
        return Ok(Rerun::Refused(TriggerError::NoWorkspace { job: old.label(), why }));
    }
    let Some(config) = config_commits::in_force(tx)?.filter(|_| row.active) else {
        return Ok(Rerun::Refused(TriggerError::Inactive { name: row.name }));
    };
    let pipeline = row.pipeline()?;
    // Recorded under an earlier document: the one in force decides what may be said.
    let params = match param::fill(&pipeline.params, &old.params) {
        Ok(params) => params,
        Err(bad) => return Ok(Rerun::Refused(TriggerError::OldParams { job: old.label(), bad })),
    };
    let new = NewJob {
        pipeline_id: old.pipeline_id,
        pipeline,
        config_commit: config.sha,
        trigger: Trigger::Rerun,
        event: old.event,
        origin: Some(old.label()),
        actor,
        revision: old.revision(),
        pull_request: old.pull_request,
        pr_base: old.pr_base,
        fork: old.fork,
        params,
        parent: Some(old.id),
        reuse: from == RerunFrom::Failed,
        dedupe_key: None,
    };
    Ok(Rerun::Job(queue::enqueue_in(tx, &new)?.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::testing::Source;
    use crate::model::settings::{Param, ParamType, Pipeline};
    use crate::store::{Durability, JobRow};
    use crate::trigger::testing::{Bench, pipeline};
    use crate::trigger::{Ask, Target, manual};

    fn with_param(source: &Source, choices: &[&str]) -> Pipeline {
        let param = Param {
            name: "target".to_owned(),
            kind: ParamType::Choice,
            choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
            default: Some(choices[0].to_owned()),
            description: String::new(),
        };
        Pipeline { params: vec![param], ..pipeline("web", &source.url(), &[]) }
    }

    async fn first(bench: &Bench, target: &str) -> JobId {
        let ask = Ask {
            pipeline: bench.pipeline_id("web").await,
            target: Target::Default,
            trigger: Trigger::Manual,
            actor: Principal::LocalAdmin,
            params: [("target".to_owned(), target.to_owned())].into(),
        };
        manual(&bench.ctx, ask, &bench.stop).await.unwrap()
    }

    async fn again(bench: &Bench, job: JobId) -> Rerun {
        let write = move |tx: &Tx<'_>| rerun_in(tx, job, Principal::System, RerunFrom::Start);
        bench.ctx.store.write("test", Durability::Acknowledged, write).await.unwrap()
    }

    async fn row(bench: &Bench, job: JobId) -> JobRow {
        bench.ctx.store.read(move |view| jobs::get(view, job)).await.unwrap()
    }

    fn refused(rerun: Rerun) -> String {
        match rerun {
            Rerun::Job(id) => panic!("{id}"),
            Rerun::Refused(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn it_builds_the_same_commit_with_the_same_params_by_the_pipeline_in_force() {
        let source = Source::new();
        let commit = source.commit("main", "One", &[("a", "1")]);
        let bench = Bench::new(vec![with_param(&source, &["staging", "production"])]).await;
        let old = first(&bench, "production").await;
        let told = refused(again(&bench, old).await);
        assert!(told.contains("web#1 is pending") && told.contains("cancel it"), "{told}");
        queue::cancel(&bench.ctx.store, old, Principal::LocalAdmin).await.unwrap();
        // The head moves on, and so does the document.
        source.commit("main", "Two", &[("a", "2")]);
        let mut changed = with_param(&source, &["staging", "production", "moon"]);
        changed.max_duration_seconds = 60;
        bench.apply(vec![changed]).await;
        let from_failed = move |tx: &Tx<'_>| rerun_in(tx, old, Principal::System, RerunFrom::Failed);
        let told = refused(bench.ctx.store.write("test", Durability::Acknowledged, from_failed).await.unwrap());
        assert!(told.contains("it never ran") && told.contains("run all of it again"), "{told}");
        let Rerun::Job(new) = again(&bench, old).await else { panic!("refused") };
        let new = row(&bench, new).await;
        assert_eq!((new.commit_sha.as_str(), new.branch.as_str(), new.parent), (commit.as_str(), "main", Some(old)));
        assert_eq!(
            (new.trigger, new.actor.as_str(), new.params["target"].as_str()),
            (Trigger::Rerun, "system", "production")
        );
        assert_eq!(new.pipeline().unwrap().max_duration_seconds, 60);
    }

    #[tokio::test]
    async fn what_the_pipeline_no_longer_allows_is_not_run_again() {
        let source = Source::new();
        source.commit("main", "One", &[("a", "1")]);
        let bench = Bench::new(vec![with_param(&source, &["staging", "production"])]).await;
        let old = first(&bench, "production").await;
        queue::cancel(&bench.ctx.store, old, Principal::LocalAdmin).await.unwrap();
        bench.apply(vec![with_param(&source, &["staging"])]).await;
        let told = refused(again(&bench, old).await);
        assert!(told.contains("web#1") && told.contains("give one of staging") && told.contains("start"), "{told}");
        bench.apply(vec![]).await;
        assert!(refused(again(&bench, old).await).contains("not in the configuration in force"));
        assert!(bench.jobs().await.is_empty());
    }
}
