//! Jobs in every state, with steps, logs and artifacts, as the other rooms leave them.
use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

use danube_shim::index::{HEADER, Record, Stream};
use jiff::Timestamp;

use super::bench::{Bench, pipeline};
use crate::artifacts::{Kind, Name, begin};
use crate::logs::StreamFile;
use crate::model::call::Place;
use crate::model::job::Event;
use crate::model::step::{Cause, StepStatus};
use crate::model::test::{TestCase, TestStatus};
use crate::model::trigger::{RepoEvent, Revision, Trigger};
use crate::model::{JobId, Principal};
use crate::queue::{self, Lease, Limits, NewJob};
use crate::store::annotations::{AnnotationLevel, NewAnnotation};
use crate::store::artifacts::{ArtifactKind, KeepWhen, NewArtifact};
use crate::store::steps::{NewStep, StepEnd};
use crate::store::test_reports::NewTestReport;
use crate::store::{Durability, annotations, artifacts, attestations, steps, test_reports};

/// Texts that come from outside and are shown.
#[derive(Clone)]
pub(super) struct Texts {
    pub(super) branch: String,
    pub(super) message: String,
    pub(super) author: String,
    pub(super) step: String,
    pub(super) param: String,
    pub(super) log: String,
    pub(super) reason: String,
}

impl Texts {
    pub(super) fn all(text: &str) -> Self {
        let text = text.to_owned();
        let (branch, message, author, step) = (text.clone(), text.clone(), text.clone(), text.clone());
        Self { branch, message, author, step, param: text.clone(), log: text.clone(), reason: text }
    }

    pub(super) fn usual() -> Self {
        Self {
            branch: "main".to_owned(),
            message: "Reject bare carriage returns in comments\n\nThey are no line ends.".to_owned(),
            author: "Mina Ito <mina@example.com>".to_owned(),
            step: "test 3.11".to_owned(),
            param: "staging".to_owned(),
            log: "FAIL: test_bare_cr (tests.test_comment.TestComment)\nAssertionError: not raised".to_owned(),
            reason: "step \"test 3.11\" failed: exit code 1".to_owned(),
        }
    }
}

impl Bench {
    pub(super) async fn enqueue(&self, name: &str, texts: &Texts) -> JobId {
        self.enqueue_at(name, texts, &"9f3c1ab0".repeat(5)).await
    }

    /// A job of a commit.
    pub(super) async fn enqueue_at(&self, name: &str, texts: &Texts, commit: &str) -> JobId {
        let new = NewJob {
            pipeline_id: self.pipeline_id(name).await,
            pipeline: pipeline(name, "platform"),
            config_commit: "c0".repeat(20),
            trigger: Trigger::Webhook,
            event: Some(RepoEvent::Push),
            origin: None,
            actor: Principal::System,
            revision: Revision {
                commit: commit.to_owned(),
                branch: texts.branch.clone(),
                tag: None,
                message: texts.message.clone(),
                author: texts.author.clone(),
            },
            pull_request: None,
            pr_base: None,
            fork: false,
            params: Some(&texts.param)
                .filter(|param| !param.is_empty())
                .map(|param| ("target".to_owned(), param.clone()))
                .into_iter()
                .collect(),
            parent: None,
            reuse: false,
            dedupe_key: None,
        };
        queue::enqueue(&self.store, new).await.unwrap().id
    }

    pub(super) async fn start(&self, name: &str, texts: &Texts) -> Lease {
        self.start_at(name, texts, &"9f3c1ab0".repeat(5)).await
    }

    /// A running job of a commit.
    pub(super) async fn start_at(&self, name: &str, texts: &Texts, commit: &str) -> Lease {
        let id = self.enqueue_at(name, texts, commit).await;
        let claimed = queue::claim(&self.store, "test", Limits { max_running: 100 }).await.unwrap().unwrap();
        assert_eq!(claimed.job.id, id);
        claimed.lease
    }

    /// A running step; `log` is its output so far.
    pub(super) async fn step(&self, lease: Lease, name: &str, branch: &str, log: &str) -> crate::store::StepRow {
        self.insert(lease, new_step(lease, name, branch), log).await
    }

    async fn insert(&self, lease: Lease, new: NewStep, log: &str) -> crate::store::StepRow {
        let write = move |tx: &crate::store::Tx<'_>| {
            let row = steps::insert(tx, lease.id, &new)?;
            steps::start(tx, lease.id, row.id, tx.now(), None)?;
            Ok(row)
        };
        let row = self.store.write("test", Durability::Progress, write).await.unwrap();
        self.append(lease.job, &row.log_stream, log.as_bytes());
        row
    }

    /// The danubefile's own process.
    pub(super) async fn coordinator(&self, lease: Lease, log: &str) -> crate::store::StepRow {
        let new = NewStep { seq: Some(0), ..new_step(lease, "danubefile.py", "") };
        self.insert(lease, new, log).await
    }

    /// Steps that have ended well, without output, ten to a branch.
    pub(super) async fn quick_steps(&self, lease: Lease, count: u32) {
        let at = self.now();
        let write = move |tx: &crate::store::Tx<'_>| {
            for n in 0..count {
                let row = steps::insert(tx, lease.id, &new_step(lease, &format!("step {n}"), &shard(n)))?;
                steps::start(tx, lease.id, row.id, at, None)?;
                let end = StepEnd {
                    status: StepStatus::Success,
                    cause: Some(Cause::Success),
                    exit_code: Some(0),
                    reason: None,
                    log_sha256: None,
                    log_bytes: Some(0),
                    finished_at: at,
                };
                steps::finish(tx, lease.id, row.id, &end)?;
            }
            Ok(())
        };
        self.store.write("test", Durability::Progress, write).await.unwrap();
    }

    /// Writes output as a shim does: the record, then the bytes.
    pub(super) fn append(&self, job: JobId, stream: &str, bytes: &[u8]) {
        let file = StreamFile::new(self.dir.path().join("logs").join(job.to_string()), stream.parse().unwrap());
        file.create().unwrap();
        let offset = file.len().unwrap();
        let mut index = OpenOptions::new().append(true).open(file.index_path()).unwrap();
        if index.metadata().unwrap().len() == 0 {
            index.write_all(HEADER).unwrap();
        }
        let time_ns = i64::try_from(offset).unwrap();
        let record = Record { offset, time_ns, length: u32::try_from(bytes.len()).unwrap(), stream: Stream::Stdout };
        if !bytes.is_empty() {
            index.write_all(&record.to_bytes()).unwrap();
        }
        OpenOptions::new().append(true).open(file.log_path()).unwrap().write_all(bytes).unwrap();
    }

    pub(super) async fn end_step(&self, lease: Lease, step: &crate::store::StepRow, code: i32) {
        let good = code == 0;
        let status = if good { StepStatus::Success } else { StepStatus::Failure };
        self.end_step_as(lease, step, status, if good { Cause::Success } else { Cause::Exit }, code, None).await;
    }

    /// Ends a step after 12.4 seconds.
    pub(super) async fn end_step_as(
        &self,
        lease: Lease,
        step: &crate::store::StepRow,
        status: StepStatus,
        cause: Cause,
        code: i32,
        reason: Option<&str>,
    ) {
        self.clock.advance(Duration::from_millis(12_400));
        let end = StepEnd {
            status,
            cause: Some(cause),
            exit_code: Some(code),
            reason: reason.map(str::to_owned),
            log_sha256: None,
            log_bytes: Some(1204),
            finished_at: self.now(),
        };
        let id = step.id;
        self.store.write("test", Durability::Progress, move |tx| steps::finish(tx, lease.id, id, &end)).await.unwrap();
    }

    pub(super) async fn finish(&self, lease: Lease, code: i32, reason: Option<&str>) {
        self.finish_as(lease, Event::Exited { code }, reason).await;
    }

    /// Ends a job by an event, with its record.
    pub(super) async fn finish_as(&self, lease: Lease, event: Event, reason: Option<&str>) {
        queue::finish(&self.store, lease, event, reason.map(str::to_owned)).await.unwrap();
        let write =
            move |tx: &crate::store::Tx<'_>| attestations::insert(tx, lease.job, "p", "k", "{\"payload\":\"x\"}");
        self.store.write("test", Durability::Acknowledged, write).await.unwrap();
    }

    pub(super) async fn artifact(&self, lease: Lease, name: &str, bytes: &[u8]) {
        let dir = self.dir.path().join("artifacts").join(lease.job.to_string());
        std::fs::create_dir_all(&dir).unwrap();
        let mut writer = begin(&dir, 1 << 20).unwrap();
        writer.write(bytes).unwrap();
        let stored = writer.commit(Name::parse("file").unwrap(), Kind::File).unwrap();
        let new = NewArtifact {
            job_id: lease.job,
            name: name.to_owned(),
            sha256: stored.sha256.to_string(),
            size: stored.size,
            kind: ArtifactKind::File,
            keep_when: KeepWhen::Always,
            provenance: true,
        };
        self.store
            .write("test", Durability::Acknowledged, move |tx| artifacts::insert(tx, lease.id, &new))
            .await
            .unwrap();
    }

    /// A job that failed in its second step.
    pub(super) async fn failed_job(&self, name: &str, texts: &Texts) -> JobId {
        let lease = self.start(name, texts).await;
        let lint = self.step(lease, "lint", "", "all good\n").await;
        self.end_step(lease, &lint, 0).await;
        let log = format!("\u{1b}[32mok\u{1b}[0m test_array\n{}\nRan 742 tests\n", texts.log);
        let test = self.step(lease, &texts.step, "/matrix#0[python=3.11]", &log).await;
        self.end_step(lease, &test, 1).await;
        self.artifact(lease, "report.xml", b"0123456789").await;
        self.reports(lease, texts).await;
        self.finish(lease, 1, Some(&texts.reason)).await;
        lease.job
    }

    /// A report with one failed test, and an annotation.
    async fn reports(&self, lease: Lease, texts: &Texts) {
        let case = TestCase {
            suite: texts.branch.clone(),
            name: texts.step.clone(),
            status: TestStatus::Failed,
            millis: 1234,
            runs: 1,
            message: Some(format!("{}\nand more", texts.reason)),
        };
        let report = NewTestReport {
            job_id: lease.job,
            key: "/junit#0".to_owned(),
            name: texts.param.clone(),
            branch: String::new(),
            files: 1,
            total: 1,
            passed: 0,
            failed: 1,
            skipped: 0,
            millis: 1234,
            cases: vec![case],
            notes: vec![texts.message.clone()],
        };
        let note = NewAnnotation {
            job_id: lease.job,
            key: "/annotate#0".to_owned(),
            level: AnnotationLevel::Warning,
            markdown: texts.log.clone(),
            place: Place { file: "danubefile.py".to_owned(), line: 9 },
        };
        let write = move |tx: &crate::store::Tx<'_>| {
            annotations::insert(tx, lease.id, &note)?;
            test_reports::record(tx, lease.id, report)
        };
        self.store.write("test", Durability::Progress, write).await.unwrap();
    }

    pub(super) fn now(&self) -> Timestamp {
        use crate::platform::Clock as _;
        self.clock.now()
    }
}

impl Bench {
    /// A green job with steps side by side and a published file.
    pub(super) async fn green_job(&self, name: &str) -> JobId {
        let texts = Texts { message: "Speed up the parser".to_owned(), ..Texts::usual() };
        let lease = self.start(name, &texts).await;
        let lint = self.step(lease, "lint", "", "ruff: all checks passed\n").await;
        self.end_step(lease, &lint, 0).await;
        let one = self.step(lease, "test 3.11", "/matrix#0[python=3.11]", "Ran 742 tests in 11.8s\n\nOK\n").await;
        let two = self.step(lease, "test 3.12", "/matrix#0[python=3.12]", "Ran 742 tests in 10.1s\n\nOK\n").await;
        self.end_step(lease, &one, 0).await;
        self.end_step(lease, &two, 0).await;
        let build = self.step(lease, "build", "", "Successfully built tomli-2.0.1-py3-none-any.whl\n").await;
        self.end_step(lease, &build, 0).await;
        self.artifact(lease, "tomli-2.0.1-py3-none-any.whl", b"wheel").await;
        self.finish(lease, 0, None).await;
        lease.job
    }

    /// A job in the middle of its second step.
    pub(super) async fn running_job(&self, name: &str) -> JobId {
        let texts = Texts { message: "Add the export page".to_owned(), ..Texts::usual() };
        let lease = self.start(name, &texts).await;
        let install = self.step(lease, "install", "", "added 214 packages in 9s\n").await;
        self.end_step(lease, &install, 0).await;
        let log: String = (1..=40).map(|n| format!("\u{1b}[32mok\u{1b}[0m {n} - renders row {n}\n")).collect();
        self.step(lease, "npm test", "", &log).await;
        self.clock.advance(Duration::from_secs(6));
        lease.job
    }
}

/// Some past for the charts.
pub(super) async fn history(bench: &Bench) {
    for n in 0..12u64 {
        let lease = bench.start(if n % 3 == 0 { "tomli" } else { "web" }, &Texts::usual()).await;
        bench.clock.advance(Duration::from_secs(30 + n * 7 % 23));
        let code = i32::from(n == 4);
        bench.finish(lease, code, (code == 1).then_some("step \"lint\" failed: exit code 1")).await;
        bench.clock.advance(Duration::from_secs(4000));
    }
}

/// The branch of a step in a large matrix.
pub(super) fn shard(n: u32) -> String {
    format!("/matrix#0[shard={}]", n / 10)
}

fn new_step(lease: Lease, name: &str, branch: &str) -> NewStep {
    NewStep {
        job_id: lease.job,
        job_attempt: 1,
        seq: None,
        attempt: 1,
        branch: branch.to_owned(),
        key: format!("/run#{name}"),
        name: name.to_owned(),
        image: "python:3.11-slim".to_owned(),
        command: format!("python -m unittest discover -v  # {name}"),
        allow_failure: false,
        kind: steps::StepKind::Step,
    }
}
