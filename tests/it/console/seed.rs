//! A data directory filled as the other rooms leave it, while no server has it open.
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use danube::artifacts::{self, Kind, Name};
use danube::logs::StreamFile;
use danube::model::job::Event;
use danube::model::step::{Cause, StepStatus};
use danube::model::trigger::{RepoEvent, Revision, Trigger};
use danube::model::{JobId, Principal};
use danube::platform::{Clock, ManualClock, SystemIds};
use danube::queue::{self, Lease, Limits, NewJob};
use danube::store::artifacts::{ArtifactKind, KeepWhen, NewArtifact};
use danube::store::steps::{NewStep, StepEnd};
use danube::store::{Durability, Store, Tx, kept_workspaces, pipelines, steps};
use danube_shim::index::{HEADER, Record, Stream};
use jiff::Timestamp;

use crate::support::server::until;

/// Bytes of one record of an index, as a shim reads them from a pipe.
const PIECE: usize = 64 * 1024;

/// The open database of a scratch data directory, and the clock of what happens in it.
pub(super) struct Seed {
    pub(super) store: Store,
    clock: Arc<ManualClock>,
    runtime: tokio::runtime::Runtime,
    data: PathBuf,
}

/// What a push brought.
#[derive(Clone)]
pub(super) struct Push {
    pub(super) branch: String,
    pub(super) message: String,
    pub(super) author: String,
    pub(super) params: Vec<(String, String)>,
}

impl Default for Push {
    fn default() -> Self {
        Self {
            branch: "main".to_owned(),
            message: "Reject bare carriage returns in comments\n\nThey are no line ends.".to_owned(),
            author: "Mina Ito <mina@example.com>".to_owned(),
            params: vec![("target".to_owned(), "staging".to_owned())],
        }
    }
}

/// A step that ran.
pub(super) struct Ran<'a> {
    pub(super) name: &'a str,
    pub(super) branch: &'a str,
    /// None: it runs still.
    pub(super) code: Option<i32>,
    /// How long after the clock it began, and how long it took.
    pub(super) seconds: (u64, u64),
    pub(super) log: &'a [u8],
}

impl Seed {
    /// What happens in it begins so long ago.
    pub(super) fn open(data: &Path, ago: Duration) -> Self {
        let now = danube::platform::SystemClock.now();
        let clock = Arc::new(ManualClock::new(now - ago));
        let store = Store::open(data, clock.clone(), Arc::new(SystemIds::new())).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { store, clock, runtime, data: data.to_owned() }
    }

    /// Closes the database, so that a server may open it as another user.
    pub(super) fn close(self) {
        let wal = self.data.join("danube.db-wal");
        drop(self.store);
        drop(self.runtime);
        until("the database is closed", || (!wal.exists()).then_some(()));
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Until so long ago.
    pub(super) fn pass_until(&self, ago: Duration) {
        let then = danube::platform::SystemClock.now() - ago;
        let by = Duration::try_from(then.duration_since(self.now())).unwrap_or_default();
        self.clock.advance(by);
    }

    pub(super) fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Tx<'_>) -> Result<T, danube::store::StoreError> + Send + 'static,
    ) -> T {
        self.store.write_blocking("test", Durability::Progress, f).unwrap()
    }

    /// A job that waits.
    pub(super) fn pending(&self, pipeline: &str, push: &Push) -> JobId {
        self.pending_after(pipeline, push, None)
    }

    /// A running job that goes on where another one stopped, and has taken over these of its steps.
    pub(super) fn going_on(&self, pipeline: &str, parent: JobId, reused: &[&str]) -> Lease {
        let id = self.pending_after(pipeline, &Push::default(), Some(parent));
        self.pass(2);
        let claim = queue::claim(&self.store, "seed", Limits { max_running: 1000 });
        let lease = self.runtime.block_on(claim).unwrap().expect("a job waits").lease;
        let keys: Vec<String> = reused.iter().map(|name| format!("/run#{name}")).collect();
        self.write(move |tx| {
            kept_workspaces::take(tx, lease.id, parent, id)?;
            keys.iter().try_for_each(|key| steps::take_over(tx, lease.id, parent, id, key))
        });
        lease
    }

    /// The workspace of a running job is kept.
    pub(super) fn keep(&self, lease: Lease) {
        self.write(move |tx| kept_workspaces::note(tx, lease.id, lease.job, 3 << 20, None));
    }

    fn pending_after(&self, pipeline: &str, push: &Push, parent: Option<JobId>) -> JobId {
        let row = self.store.read_blocking(|view| pipelines::find_by_name(view, pipeline)).unwrap().expect(pipeline);
        let new = NewJob {
            pipeline_id: row.id,
            pipeline: row.pipeline().unwrap(),
            config_commit: "c0".repeat(20),
            trigger: if parent.is_some() { Trigger::Rerun } else { Trigger::Webhook },
            event: Some(RepoEvent::Push),
            origin: None,
            actor: Principal::System,
            revision: Revision {
                commit: "9f3c1ab0".repeat(5),
                branch: push.branch.clone(),
                tag: None,
                message: push.message.clone(),
                author: push.author.clone(),
            },
            pull_request: None,
            pr_base: None,
            fork: false,
            params: push.params.iter().cloned().collect(),
            parent,
            reuse: parent.is_some(),
            dedupe_key: None,
        };
        self.write(move |tx| queue::enqueue_in(tx, &new)).id
    }

    /// A job that runs; nothing else may wait meanwhile.
    pub(super) fn running(&self, pipeline: &str, push: &Push) -> Lease {
        let id = self.pending(pipeline, push);
        self.pass(2);
        let claim = queue::claim(&self.store, "seed", Limits { max_running: 1000 });
        let claimed = self.runtime.block_on(claim).unwrap().expect("a job waits");
        assert_eq!(claimed.job.id, id, "another job waits");
        claimed.lease
    }

    /// What the danubefile calls the job.
    pub(super) fn title(&self, lease: Lease, title: &str) {
        self.runtime.block_on(queue::declare(&self.store, lease, Some(title.to_owned()), None)).unwrap();
    }

    /// Steps of a running job, with their logs, in one transaction.
    pub(super) fn steps(&self, lease: Lease, ran: &[Ran<'_>]) {
        let from = self.now();
        let at = move |seconds: u64| from + Duration::from_secs(seconds);
        let mut new = Vec::new();
        for step in ran {
            let row = NewStep {
                job_id: lease.job,
                job_attempt: 1,
                seq: None,
                attempt: 1,
                branch: step.branch.to_owned(),
                key: format!("/run#{}", step.name),
                name: step.name.to_owned(),
                image: "python:3.11-slim".to_owned(),
                command: format!("python -m unittest discover -v  # {}", step.name),
                allow_failure: false,
                kind: steps::StepKind::Step,
            };
            new.push((row, step.code, step.seconds, step.log.len() as u64));
        }
        let streams = self.write(move |tx| {
            let mut streams = Vec::new();
            for (step, code, (begin, took), log_bytes) in new {
                let row = steps::insert(tx, lease.id, &step)?;
                steps::start(tx, lease.id, row.id, at(begin), None)?;
                if let Some(code) = code {
                    let good = code == 0;
                    let end = StepEnd {
                        status: if good { StepStatus::Success } else { StepStatus::Failure },
                        cause: Some(if good { Cause::Success } else { Cause::Exit }),
                        exit_code: Some(code),
                        reason: None,
                        log_sha256: Some("0".repeat(64)),
                        log_bytes: Some(log_bytes),
                        finished_at: at(begin + took),
                    };
                    steps::finish(tx, lease.id, row.id, &end)?;
                }
                streams.push(row.log_stream);
            }
            Ok(streams)
        });
        for (step, stream) in ran.iter().zip(streams) {
            self.log(lease.job, &stream, step.log, at(step.seconds.0));
        }
    }

    /// Writes output as a shim does: each piece's record, then its bytes.
    fn log(&self, job: JobId, stream: &str, bytes: &[u8], from: Timestamp) {
        let file = StreamFile::new(self.data.join("logs").join(job.to_string()), stream.parse().unwrap());
        fs::create_dir_all(file.log_path().parent().unwrap()).unwrap();
        let mut index = HEADER.to_vec();
        let mut time_ns = i64::try_from(from.as_nanosecond()).unwrap();
        for (n, piece) in bytes.chunks(PIECE).enumerate() {
            let record = Record {
                offset: (n * PIECE) as u64,
                time_ns,
                length: u32::try_from(piece.len()).unwrap(),
                stream: Stream::Stdout,
            };
            index.extend(record.to_bytes());
            time_ns += 1_000_000;
        }
        fs::write(file.index_path(), index).unwrap();
        fs::File::create(file.log_path()).unwrap().write_all(bytes).unwrap();
    }

    pub(super) fn artifact(&self, lease: Lease, name: &str, bytes: &[u8]) {
        let dir = self.data.join("artifacts").join(lease.job.to_string());
        fs::create_dir_all(&dir).unwrap();
        let mut writer = artifacts::begin(&dir, 1 << 20).unwrap();
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
        self.write(move |tx| danube::store::artifacts::insert(tx, lease.id, &new).map(|_| ()));
    }

    /// Ends a job.
    pub(super) fn end(&self, lease: Lease, event: Event, reason: Option<&str>) {
        self.runtime.block_on(queue::finish(&self.store, lease, event, reason.map(str::to_owned))).unwrap();
    }

    /// Asks for the end of a job.
    pub(super) fn cancel(&self, job: JobId) {
        self.runtime.block_on(queue::cancel(&self.store, job, Principal::LocalAdmin)).unwrap();
    }
}
