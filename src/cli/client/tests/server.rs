//! A real server on a socket of its own, with jobs as the other rooms leave them.
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use danube_shim::index::{HEADER, Record, Stream};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::client::Client;
use crate::logs::StreamFile;
use crate::mirror::Repos;
use crate::model::job::Event;
use crate::model::settings::{Concurrency, Pipeline, Settings, Team, TriggerRule};
use crate::model::step::{Cause, StepStatus};
use crate::model::trigger::{RepoEvent, Revision, Trigger};
use crate::model::{JobId, Principal};
use crate::platform::{Ids, SystemClock, SystemIds};
use crate::queue::{self, Lease, Limits, NewJob};
use crate::store::steps::{NewStep, StepEnd};
use crate::store::{Durability, StepRow, Store, apply, pipelines, steps};
use crate::web::{self, AppState, Hooks, Setup};
use crate::{secrets, trigger};

pub(super) struct Server {
    pub(super) dir: TempDir,
    pub(super) store: Store,
    ids: Arc<dyn Ids>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

fn pipeline() -> Pipeline {
    Pipeline {
        name: "web".to_owned(),
        team: "platform".to_owned(),
        repository: "https://git.example.com/platform/web.git".to_owned(),
        branch_filter: Vec::new(),
        triggers: vec![TriggerRule::Push],
        paths: Vec::new(),
        script: "danubefile.py".to_owned(),
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

impl Server {
    pub(super) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ids: Arc<dyn Ids> = Arc::new(SystemIds::new());
        let store = Store::open(dir.path(), Arc::new(SystemClock), ids.clone()).unwrap();
        let team = Team { name: "platform".to_owned(), members: Vec::new(), admins: Vec::new(), global_admin: false };
        let settings = Settings { teams: vec![team], pipelines: vec![pipeline()], ..Settings::default() };
        let apply = move |tx: &crate::store::Tx<'_>| apply::apply(tx, &settings, &"c0".repeat(20), tx.now());
        store.write("test", Durability::Acknowledged, apply).await.unwrap();
        let mut server = Self { dir, store, ids, running: None };
        server.serve().await;
        server
    }

    /// Listens, as a start does: the socket of the one before is replaced.
    pub(super) async fn serve(&mut self) {
        let dir = self.dir.path();
        let keys = dir.join("keys");
        for made in [&keys, &dir.join("logs"), &dir.join("artifacts")] {
            std::fs::create_dir_all(made).unwrap();
        }
        let vault = secrets::open(&self.store, &keys, self.ids.clone()).await.unwrap();
        let repos = Arc::new(Repos::open(&dir.join("repos")).unwrap());
        let known_hosts = keys.join("known_hosts");
        let stop = CancellationToken::new();
        let state = AppState::new(Setup {
            ids: self.ids.clone(),
            logs: dir.join("logs"),
            artifacts: dir.join("artifacts"),
            keys: Vec::new(),
            public_url: Some("https://danube.example.com".to_owned()),
            builder: "https://danube.example.com/builder/v1".to_owned(),
            tls: false,
            trusted_proxies: Vec::new(),
            trigger: trigger::Ctx {
                store: self.store.clone(),
                repos,
                known_hosts,
                vault,
                room: trigger::Room::default(),
            },
            registry: None,
            stop: stop.clone(),
            hooks: Hooks {
                sync: Arc::new(|| {}),
                config: Arc::new(crate::config_repo::Status::default),
                data: Arc::new(|| None),
                down: Arc::new(|| Box::pin(async { Vec::new() })),
            },
        });
        let _none = std::fs::remove_file(self.socket());
        let listener = UnixListener::bind(self.socket()).unwrap();
        let task = tokio::spawn(web::serve_unix(listener, state, stop.clone()));
        self.running = Some((stop, task));
    }

    /// Stops listening and hangs up.
    pub(super) async fn stop(&mut self) {
        let (stop, task) = self.running.take().unwrap();
        stop.cancel();
        task.await.unwrap();
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.path().join("api.sock")
    }

    pub(super) fn client(&self) -> Client {
        Client::over_socket(self.socket())
    }

    pub(super) async fn enqueue(&self) -> JobId {
        let row = self.store.read(|view| pipelines::find_by_name(view, "web")).await.unwrap().unwrap();
        let new = NewJob {
            pipeline_id: row.id,
            pipeline: pipeline(),
            config_commit: "c0".repeat(20),
            trigger: Trigger::Webhook,
            event: Some(RepoEvent::Push),
            origin: None,
            actor: Principal::System,
            revision: Revision {
                commit: "9f3c1ab0".repeat(5),
                branch: "main".to_owned(),
                tag: None,
                message: "Reject\u{1b}[2J returns".to_owned(),
                author: "Mina Ito <mina@example.com>".to_owned(),
            },
            pull_request: None,
            pr_base: None,
            fork: false,
            params: [].into(),
            parent: None,
            reuse: false,
            dedupe_key: None,
        };
        queue::enqueue(&self.store, new).await.unwrap().id
    }

    pub(super) async fn claim(&self) -> Lease {
        queue::claim(&self.store, "test", Limits { max_running: 100 }).await.unwrap().unwrap().lease
    }

    pub(super) async fn step(&self, lease: Lease, name: &str) -> StepRow {
        let new = NewStep {
            job_id: lease.job,
            job_attempt: 1,
            seq: None,
            attempt: 1,
            branch: String::new(),
            key: format!("/run#{name}"),
            name: name.to_owned(),
            image: "alpine:3.20".to_owned(),
            command: "true".to_owned(),
            allow_failure: false,
            kind: steps::StepKind::Step,
        };
        let write = move |tx: &crate::store::Tx<'_>| {
            let row = steps::insert(tx, lease.id, &new)?;
            steps::start(tx, lease.id, row.id, tx.now(), None)?;
            Ok(row)
        };
        self.store.write("test", Durability::Progress, write).await.unwrap()
    }

    /// Writes output as a shim does: the record, then the bytes.
    pub(super) fn write(&self, step: &StepRow, bytes: &[u8]) {
        let logs = self.dir.path().join("logs").join(step.job_id.to_string());
        let file = StreamFile::new(logs, step.log_stream.parse().unwrap());
        if !file.log_path().exists() {
            file.create().unwrap();
        }
        let offset = file.len().unwrap();
        let mut index = OpenOptions::new().append(true).open(file.index_path()).unwrap();
        if index.metadata().unwrap().len() == 0 {
            index.write_all(HEADER).unwrap();
        }
        let time_ns = i64::try_from(offset).unwrap();
        let record = Record { offset, time_ns, length: u32::try_from(bytes.len()).unwrap(), stream: Stream::Stdout };
        index.write_all(&record.to_bytes()).unwrap();
        OpenOptions::new().append(true).open(file.log_path()).unwrap().write_all(bytes).unwrap();
    }

    pub(super) async fn end_step(&self, lease: Lease, step: &StepRow, code: i32) {
        let good = code == 0;
        let id = step.id;
        let write = move |tx: &crate::store::Tx<'_>| {
            let end = StepEnd {
                status: if good { StepStatus::Success } else { StepStatus::Failure },
                cause: Some(if good { Cause::Success } else { Cause::Exit }),
                exit_code: Some(code),
                reason: None,
                log_sha256: None,
                log_bytes: None,
                finished_at: tx.now(),
            };
            steps::finish(tx, lease.id, id, &end)
        };
        self.store.write("test", Durability::Progress, write).await.unwrap();
    }

    pub(super) async fn finish(&self, lease: Lease, code: i32, reason: Option<&str>) {
        queue::finish(&self.store, lease, Event::Exited { code }, reason.map(str::to_owned)).await.unwrap();
    }
}
