//! Fills a stopped server's database with jobs of the past, by the moves that any job makes.
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use jiff::Timestamp;

use crate::model::job::Event;
use crate::model::settings::Pipeline;
use crate::model::step::{Cause, StepStatus};
use crate::model::test::{TestCase, TestStatus};
use crate::model::trigger::{RepoEvent, Revision, Trigger};
use crate::model::{JobId, PipelineId, Principal};
use crate::platform::{Clock as _, ManualClock, SystemClock, SystemIds};
use crate::queue::{self, Lease, NewJob};
use crate::store::audit_log::{self, Decision, Entry};
use crate::store::steps::{NewStep, StepEnd};
use crate::store::test_history::{self, Which};
use crate::store::test_reports::{self, NewTestReport};
use crate::store::{Durability, Store, StoreError, Tx, attestations, config_commits, jobs, pipelines, steps};

/// Jobs of one transaction.
const GROUP: u64 = 500;
/// The time over which the jobs are spread.
const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// One job in so many has a report of its tests, and one a line in the audit log.
const REPORTED: u64 = 50;
const AUDITED: u64 = 10;
/// Branches of each pipeline.
const BRANCHES: u64 = 20;

/// What a question about a full database can be about.
pub(super) struct Landmarks {
    /// A job in the middle.
    pub(super) job: String,
    /// Its pipeline.
    pub(super) pipeline: String,
    /// Its commit.
    pub(super) commit: String,
    /// When it was made.
    pub(super) made: Timestamp,
    /// One of its tests.
    pub(super) test: i64,
}

/// Stores `more` jobs, of which `all` make a year.
pub(super) async fn fill(data: &Path, more: u64, all: u64, mut told: impl FnMut(u64)) -> anyhow::Result<Landmarks> {
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
        let last = store.write("cli.bench_fill", Durability::Progress, move |tx| {
            let mut last = None;
            for number in numbers {
                let job = past.store(tx, number)?;
                if number.is_multiple_of(REPORTED) {
                    last = Some(job);
                }
                group_clock.advance(step);
            }
            Ok(last)
        });
        let last = last.await?;
        if done * 2 >= more {
            middle = middle.or(last);
        }
    }
    let middle: JobId = middle.context("no job was stored")?;
    let found = store.read(move |view| {
        let job = jobs::get(view, middle)?;
        let tests = test_history::page(view, job.pipeline_id, Which::All, None, 1)?;
        Ok((job, tests))
    });
    let (job, tests) = found.await?;
    Ok(Landmarks {
        job: job.id.to_string(),
        pipeline: job.pipeline_name,
        commit: job.commit_sha,
        made: job.created_at,
        test: tests.first().context("no test was stored")?.id,
    })
}

struct Past {
    config: String,
    pipelines: Vec<(PipelineId, Pipeline)>,
}

impl Past {
    fn store(&self, tx: &Tx<'_>, number: u64) -> Result<JobId, StoreError> {
        // A fixed shuffle: neighbours differ in pipeline, branch and end.
        let mixed = mix(number);
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
            actor: if number.is_multiple_of(100) { Principal::LocalAdmin } else { Principal::System },
            revision: Revision {
                // Two jobs of each commit.
                commit: format!("{:011x}{:029x}", mix(number / 2), number / 2),
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
            step(tx, lease, "test", status)?;
            if number.is_multiple_of(REPORTED) {
                test_reports::record(tx, lease.id, report(lease, number, status))?;
            }
            Ok(())
        })?;
        attestations::insert(tx, id, "https://slsa.dev/provenance/v1", "0", "{}")?;
        if number.is_multiple_of(AUDITED) {
            audit_log::append(tx, &line(number / AUDITED, *pipeline_id, &pipeline.name))?;
        }
        Ok(id)
    }
}

/// A fixed shuffle of 44 bits.
const fn mix(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

/// A report of ten tests, of which one fails now and then and another in every red job.
fn report(lease: Lease, number: u64, status: StepStatus) -> NewTestReport {
    let case = |n: u64| {
        let bad = (n == 0 && status == StepStatus::Failure) || (n == 1 && mix(number).is_multiple_of(9));
        TestCase {
            suite: "shop.cart".to_owned(),
            name: format!("test {n}"),
            status: if bad { TestStatus::Failed } else { TestStatus::Passed },
            millis: 10 * n + 1,
            runs: 1,
            message: bad.then(|| "assert 2 == 3".to_owned()),
        }
    };
    let cases: Vec<TestCase> = (0..10).map(case).collect();
    let failed = cases.iter().filter(|case| case.status.is_bad()).count() as u64;
    NewTestReport {
        job_id: lease.job,
        key: "/junit#0".to_owned(),
        name: "unit".to_owned(),
        branch: String::new(),
        files: 1,
        total: 10,
        passed: 10 - failed,
        failed,
        skipped: 0,
        millis: cases.iter().map(|case| case.millis).sum(),
        cases,
        notes: Vec::new(),
    }
}

/// A line of the audit log: one in a hundred was refused, and one action is rare.
fn line(number: u64, pipeline: PipelineId, name: &str) -> Entry {
    let rare = mix(number).is_multiple_of(100);
    Entry {
        principal: if number.is_multiple_of(3) { Principal::LocalAdmin } else { Principal::System },
        action: if rare { "job.cancel" } else { "job.trigger" }.to_owned(),
        resource: format!("pipeline {name}"),
        decision: if rare { Decision::Denied } else { Decision::Allowed },
        detail: String::new(),
        pipeline: Some(pipeline),
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
        kind: steps::StepKind::Step,
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
