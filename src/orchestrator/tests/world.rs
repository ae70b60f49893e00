//! A master that can be stopped and started again over one store and one fake executor.
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::fake::FakeExecutor;
use crate::executor::{KeepLayers, Limits};
use crate::mirror::Comparison;
use crate::model::job::Status;
use crate::model::settings::Pipeline;
use crate::model::trigger::{RepoEvent, Revision, Trigger};
use crate::model::{JobId, Principal};
use crate::orchestrator::*;
use crate::platform::SeededIds;
use crate::provenance::SigningKey;
use crate::queue::{self, Claimed, NewJob};
use crate::secrets::{self, PlainFile, SecretSource, Vault};
use crate::store::testing::{TestStore, settings, with};
use crate::store::{JobRow, StepRow, jobs, steps};

/// An origin with one commit.
pub(crate) struct FakeOrigin {
    pub(crate) script: bool,
}

impl Origin for FakeOrigin {
    fn source(&self, _: &Revision) -> BoxFuture<'_, Result<File, OriginError>> {
        async { Ok(tempfile::tempfile().unwrap()) }.boxed()
    }

    fn script_exists(&self, _: String, _: String) -> BoxFuture<'_, Result<bool, OriginError>> {
        let there = self.script;
        async move { Ok(there) }.boxed()
    }

    fn compare(&self, base: String, head: String, _: Vec<String>) -> BoxFuture<'_, Result<Comparison, OriginError>> {
        let differs = Comparison::Differs { path: "src/app.py".to_owned() };
        async move { Ok(if base == head { Comparison::Same } else { differs }) }.boxed()
    }

    fn merge_base(&self, branch: String, _: String) -> BoxFuture<'_, Result<Option<String>, OriginError>> {
        async move { Ok((branch == "main").then(|| "b".repeat(40))) }.boxed()
    }

    fn hash(&self, _: String, globs: Vec<String>) -> BoxFuture<'_, Result<String, OriginError>> {
        async move {
            if globs.iter().any(|glob| glob.contains('[')) {
                return Err(OriginError::User("the pattern '[' cannot be read: unclosed".to_owned()));
            }
            Ok("ab".repeat(32))
        }
        .boxed()
    }
}

/// Everything that outlives a master.
pub(crate) struct World {
    pub(crate) test: TestStore,
    pub(crate) executor: Arc<FakeExecutor>,
    pub(crate) vault: Vault,
    pub(crate) script: bool,
    pub(crate) machine: String,
    pub(crate) keeping: Keeping,
    pub(crate) secrets: Vec<(String, String)>,
}

/// A master that drives one job.
pub(crate) struct Master {
    pub(crate) job: Arc<LiveJob>,
    pub(crate) driving: JoinHandle<Result<Driven, DriveError>>,
    stop: CancellationToken,
}

impl World {
    pub(crate) async fn new(pipeline: Pipeline) -> Self {
        let test = with(settings(vec![pipeline])).await;
        for name in ["logs", "artifacts"] {
            std::fs::create_dir_all(test.dir.path().join(name)).unwrap();
        }
        let keys = test.dir.path().join("keys");
        std::fs::create_dir_all(&keys).unwrap();
        let vault = secrets::open(&test.store, &keys, Arc::new(SeededIds::new(7))).await.unwrap();
        Self {
            test,
            executor: Arc::default(),
            vault,
            script: true,
            machine: "boot-1".to_owned(),
            keeping: Keeping::default(),
            secrets: vec![("DANUBE_SECRET_TOKEN".to_owned(), "hunter22".to_owned())],
        }
    }

    pub(crate) fn engine(&self, serve: Serve) -> Arc<Engine> {
        let dir = self.test.dir.path();
        Arc::new(Engine {
            upstream: crate::egress::Upstream::new(Vec::new(), Arc::new(SeededIds::new(7))),
            store: self.test.store.clone(),
            executor: self.executor.clone(),
            clock: self.test.clock.clone(),
            ids: Arc::new(SeededIds::new(9)),
            vault: self.vault.clone(),
            dirs: Dirs { logs: dir.join("logs"), artifacts: dir.join("artifacts"), scratch: dir.to_owned() },
            bounds: Bounds {
                artifact_bytes: 1 << 20,
                keeping: self.keeping,
                step: Limits { cpu: 1.0, memory_bytes: 1 << 30, pids: 100 },
                grace: Duration::from_millis(40),
                patience: Duration::from_millis(400),
                ..Bounds::default()
            },
            builder: BuilderFacts {
                id: "https://danube.example.com/builder/v1".to_owned(),
                version: "0.1.0".to_owned(),
                config_repository: "git@git.example.com:ops/config.git".to_owned(),
                config_ref: "refs/heads/main".to_owned(),
            },
            job_key: JobKey::from_bytes(&[7; 32]),
            signing: Some(SigningKey::from_seed(&[3; 32])),
            public_url: Some("https://danube.example.com".to_owned()),
            machine: self.machine.clone(),
            images: Images::new(RegistrySource::Config, Vec::new(), KeepLayers { bytes: 1 << 30, seconds: 3600 })
                .unwrap(),
            registry: None,
            serve,
            cache_gate: CacheGate::default(),
        })
    }

    pub(crate) async fn claim(&self, pipeline: &Pipeline) -> Claimed {
        self.claim_with(pipeline, |_| ()).await
    }

    pub(crate) async fn claim_with(&self, pipeline: &Pipeline, change: impl FnOnce(&mut NewJob)) -> Claimed {
        let mut job = NewJob {
            pipeline_id: self.test.pipeline_id(&pipeline.name).await,
            pipeline: pipeline.clone(),
            config_commit: "c0ffee".to_owned(),
            trigger: Trigger::Webhook,
            event: Some(RepoEvent::Push),
            origin: None,
            actor: Principal::System,
            revision: Revision {
                commit: "a".repeat(40),
                branch: "main".to_owned(),
                tag: None,
                message: "Change".to_owned(),
                author: "Alice <alice@example.com>".to_owned(),
            },
            pull_request: None,
            pr_base: None,
            fork: false,
            params: Default::default(),
            parent: None,
            reuse: false,
            dedupe_key: None,
        };
        change(&mut job);
        queue::enqueue(&self.test.store, job).await.unwrap();
        queue::claim(&self.test.store, "m1", queue::Limits { max_running: 10 }).await.unwrap().unwrap()
    }

    fn drive(
        &self,
        engine: Arc<Engine>,
        claimed: Claimed,
        stop: &CancellationToken,
    ) -> JoinHandle<Result<Driven, DriveError>> {
        let source: Arc<dyn SecretSource> = Arc::new(PlainFile::load(None, self.secrets.clone()).unwrap());
        tokio::spawn(drive(engine, claimed, Arc::new(FakeOrigin { script: self.script }), source, stop.clone()))
    }

    /// Drives a job that never gets as far as its coordinator.
    pub(crate) async fn driven(&self, claimed: Claimed) -> Driven {
        let engine = self.engine(Arc::new(|_, _, stop| async move { stop.cancelled().await }.boxed()));
        self.drive(engine, claimed, &CancellationToken::new()).await.unwrap().unwrap()
    }

    /// A master whose job's calls the test makes itself, without a socket.
    pub(crate) async fn master(&self, claimed: Claimed) -> Master {
        let (sender, mut jobs) = mpsc::unbounded_channel();
        let serve: Serve = Arc::new(move |_listener, job, stop| {
            sender.send(job).unwrap();
            async move { stop.cancelled().await }.boxed()
        });
        self.master_with(claimed, serve, &mut jobs).await
    }

    pub(crate) async fn master_with(
        &self,
        claimed: Claimed,
        serve: Serve,
        jobs: &mut mpsc::UnboundedReceiver<Arc<LiveJob>>,
    ) -> Master {
        let stop = CancellationToken::new();
        let driving = self.drive(self.engine(serve), claimed, &stop);
        let job = jobs.recv().await.unwrap();
        Master { job, driving, stop }
    }

    /// An engine that drives nothing.
    pub(crate) fn idle_engine(&self) -> Arc<Engine> {
        self.engine(Arc::new(|_, _, stop| async move { stop.cancelled().await }.boxed()))
    }

    /// Another master after the end of the first.
    pub(crate) async fn again(&self) -> Master {
        let idle: Serve = Arc::new(|_, _, stop| async move { stop.cancelled().await }.boxed());
        let adopted = recover(&self.engine(idle), "m2").await.unwrap();
        self.master(adopted.into_iter().next().unwrap()).await
    }

    pub(crate) async fn row(&self, job: JobId) -> JobRow {
        self.test.store.read(move |view| jobs::get(view, job)).await.unwrap()
    }

    pub(crate) async fn steps(&self, job: JobId) -> Vec<StepRow> {
        self.test.store.read(move |view| steps::of_job(view, job)).await.unwrap()
    }
}

impl Master {
    /// The job's end; its coordinator must have ended.
    pub(crate) async fn ended(self) -> Status {
        match self.driving.await.unwrap().unwrap() {
            Driven::Ended(status) => status,
            other => panic!("{other:?}"),
        }
    }

    /// Stops this master as a crash would: nothing is written any more.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        assert_eq!(self.driving.await.unwrap().unwrap(), Driven::Left);
    }

    /// Makes the call that runs a step.
    pub(crate) async fn run(&self, key: &str, request: StepRequest) -> Result<StepAnswer, CallError> {
        self.job.run_step(call("run", key), request).await
    }
}

pub(crate) fn call(kind: &str, key: &str) -> Call {
    Call::parse(kind, key, "danubefile.py", 7).unwrap()
}
