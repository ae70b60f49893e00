//! Fills a stopped server's database with jobs of the past, by the moves that any job makes.
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::model::job::Event;
use crate::model::settings::Pipeline;
use crate::model::step::{Cause, StepStatus};
use crate::model::trigger::{RepoEvent, Revision, Trigger};
use crate::model::{JobId, PipelineId, Principal};
use crate::platform::{Clock as _, ManualClock, SystemClock, SystemIds};
use crate::queue::{self, Lease, NewJob};
use crate::store::steps::{NewStep, StepEnd};
use crate::store::{Durability, Store, StoreError, Tx, attestations, config_commits, pipelines, steps};

/// Jobs of one transaction.
const GROUP: u64 = 500;
/// The time over which the jobs are spread.
const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// Branches of each pipeline.
const BRANCHES: u64 = 20;

/// Stores `more` jobs, of which `all` make a year; the id of one in the middle.
pub(super) async fn fill(data: &Path, more: u64, all: u64, mut told: impl FnMut(u64)) -> anyhow::Result<String> {
    let begin = SystemClock.now() - YEAR.mul_f64(more as f64 / all as f64);
    let clock = Arc::new(ManualClock::new(begin));
    let store = Store::open(data, Arc::clone(&clock) as _, Arc::new(SystemIds::new()))?;
    let config = store.read(config_commits::in_force).await?.context("no configuration is in force")?.sha;
    let rows = store.read(pipelines::active).await?;
    let pipelines = rows.iter().map(|row| Ok((row.id, row.pipeline()?))).collect::<Result<Vec<_>, StoreError>>()?;
    ensure!(!pipelines.is_empty(), "the server has no pipelines");
    let past = Arc::new(Past { config, pipelines });
    let (mut done, mut middle) = (0, None);
    while done < more {
        told(done);
        let numbers = done..(done + GROUP).min(more);
        done = numbers.end;
        let (past, group_clock) = (Arc::clone(&past), Arc::clone(&clock));
        let step = YEAR.div_f64(all as f64);
        let last = store.write(Durability::Progress, move |tx| {
            let mut last = None;
            for number in numbers {
                last = Some(past.store(tx, number)?);
                group_clock.advance(step);
            }
            Ok(last)
        });
        let last = last.await?;
        if done * 2 >= more {
            middle = middle.or(last);
        }
    }
    middle.map(|id: JobId| id.to_string()).context("no job was stored")
}

struct Past {
    config: String,
    pipelines: Vec<(PipelineId, Pipeline)>,
}

impl Past {
    fn store(&self, tx: &Tx<'_>, number: u64) -> Result<JobId, StoreError> {
        // A fixed shuffle: neighbours differ in pipeline, branch and end.
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let (pipeline_id, pipeline) = &self.pipelines[(mixed % self.pipelines.len() as u64) as usize];
        let (event, status) = match mixed / 7 % 20 {
            0 | 1 => (Event::Exited { code: 1 }, StepStatus::Failure),
            2 => (Event::Stopped, StepStatus::Cancelled),
            3 => (Event::DeadlinePassed, StepStatus::Timeout),
            _ => (Event::Exited { code: 0 }, StepStatus::Success),
        };
        let job = NewJob {
            pipeline_id: *pipeline_id,
            pipeline: pipeline.clone(),
            config_commit: self.config.clone(),
            trigger: Trigger::Webhook,
            event: Some(RepoEvent::Push),
            origin: None,
            actor: Principal::System,
            revision: Revision {
                commit: format!("{mixed:040x}"),
                branch: match mixed / 3 % BRANCHES {
                    0..10 => "main".to_owned(),
                    n => format!("feature/{n}"),
                },
                tag: None,
                message: format!("Change number {number}\n\nWith a body that says a little more about it."),
                author: "Ada <ada@example.com>".to_owned(),
            },
            pull_request: None,
            pr_base: None,
            fork: false,
            params: [].into(),
            parent: None,
            reuse: false,
            dedupe_key: None,
        };
        let id = queue::past_in(tx, &job, event, |tx, lease| {
            step(tx, lease, "danubefile.py", status)?;
            step(tx, lease, "test", status)
        })?;
        attestations::insert(tx, id, "https://slsa.dev/provenance/v1", "0", "{}")?;
        Ok(id)
    }
}

fn step(tx: &Tx<'_>, lease: Lease, name: &str, status: StepStatus) -> Result<(), StoreError> {
    let coordinator = name == "danubefile.py";
    let new = NewStep {
        job_id: lease.job,
        job_attempt: 1,
        seq: coordinator.then_some(0),
        attempt: 1,
        branch: String::new(),
        key: if coordinator { "/coordinator#0" } else { "/run#0" }.to_owned(),
        name: name.to_owned(),
        image: "host".to_owned(),
        command: "make test".to_owned(),
        allow_failure: false,
    };
    let row = steps::insert(tx, lease.id, &new)?;
    steps::start(tx, lease.id, row.id, tx.now(), None)?;
    let end = StepEnd {
        status,
        cause: (status != StepStatus::Cancelled).then_some(Cause::Exit),
        exit_code: Some(i32::from(status != StepStatus::Success)),
        reason: None,
        log_sha256: Some("0".repeat(64)),
        log_bytes: Some(4096),
        finished_at: tx.now(),
    };
    steps::finish(tx, lease.id, row.id, &end)
}
