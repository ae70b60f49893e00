//! Services beside steps: ready before the body, ended after it, their failure named, also across masters.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::fake::end;
use super::request;
use super::world::{Master, World, call};
use crate::executor::{StepAt, StepKind, StepState};
use crate::images::{Image, ImageConfig};
use crate::model::step::{Cause, StepStatus};
use crate::orchestrator::*;
use crate::store::steps::{self, NewStep};
use crate::store::testing::pipeline;
use crate::store::{Durability, StepRow, job_images};

const BODY: &str = "/service:db#0";

fn database() -> ServiceRequest {
    ServiceRequest {
        name: "db".to_owned(),
        image: "postgres:16".to_owned(),
        port: 5432,
        env: BTreeMap::new(),
        ready: String::new(),
        ready_timeout: Some(Duration::from_secs(30)),
    }
}

struct Site {
    world: World,
    master: Master,
}

impl Site {
    async fn new() -> Self {
        let site = pipeline("site", "web");
        let world = World::new(site.clone()).await;
        world.executor.networks.store(true, Ordering::Relaxed);
        let claimed = world.claim(&site).await;
        let master = world.master(claimed).await;
        let site = Self { world, master };
        site.knows_the_image().await;
        site
    }

    /// An earlier step found out what the name stands for: no registry is asked.
    async fn knows_the_image(&self) {
        self.knows_the_image_as("postgres:16").await;
    }

    async fn knows_the_image_as(&self, name: &str) {
        let name = name.to_owned();
        let image = Image { digest: "sha256:0".to_owned(), layers: Vec::new(), config: ImageConfig::default() };
        let text = serde_json::to_string(&image).unwrap();
        let (lease, job) = (self.master.job.lease.id, self.master.job.row.id);
        let kept = self.world.test.store.write("test.image", Durability::Progress, move |tx| {
            job_images::keep(tx, lease, job, (&name, "sha256:0", &text))
        });
        kept.await.unwrap();
    }

    /// The call that starts the service, on its way.
    fn starting(&self, request: ServiceRequest) -> tokio::task::JoinHandle<Result<ServiceAnswer, CallError>> {
        let job = Arc::clone(&self.master.job);
        tokio::spawn(async move { job.start_service(call("start", &format!("{BODY}/start#0")), request).await })
    }

    /// A service that answers.
    async fn with_database() -> (Self, StepAt) {
        let site = Self::new().await;
        let starting = site.starting(database());
        let at = site.world.executor.started("postgres:16").await;
        site.world.executor.answers(at);
        let answer = starting.await.unwrap().unwrap();
        assert_eq!(answer, ServiceAnswer { host: "db".to_owned(), port: 5432, message: String::new() });
        (site, at)
    }

    async fn stop(&self) -> ServiceEnd {
        self.master.job.stop_service(call("stop", &format!("{BODY}/stop#0"))).await.unwrap()
    }

    async fn row(&self, step: u32) -> StepRow {
        let rows = self.world.steps(self.master.job.row.id).await;
        rows.into_iter().find(|row| row.seq == step).unwrap()
    }

    async fn finish(self) {
        self.world.executor.end_coordinator_of(self.master.job.row.id).await;
        self.master.ended().await;
        assert_eq!(self.world.executor.attached(), 0, "no network of a service is left");
    }
}

#[tokio::test]
async fn a_service_runs_from_the_start_to_the_end_of_its_body_and_steps_find_it() {
    let (site, at) = Site::with_database().await;
    let spec = site.world.executor.spec("postgres:16");
    assert_eq!(
        (spec.kind, spec.service, spec.ready.unwrap().address.as_str()),
        (StepKind::Service, Some(0), "10.0.0.1:5432")
    );
    site.master.run("/service:db#0/run#0", request("exit 0")).await.unwrap();
    let hosts = site.world.executor.spec("exit 0").hosts;
    assert_eq!(
        (hosts.len(), hosts[0].address.to_string(), hosts[0].names.clone()),
        (1, "10.0.0.1".to_owned(), vec!["db".to_owned()])
    );
    assert_eq!(site.row(at.step).await.status, StepStatus::Running);
    assert_eq!(site.stop().await.message, "");
    let row = site.row(at.step).await;
    assert_eq!((row.status, row.name.as_str(), row.exit_code), (StepStatus::Success, "service db", Some(143)));
    site.master.run("/run#0", request("exit 00")).await.unwrap();
    assert!(site.world.executor.spec("exit 00").hosts.is_empty(), "after the body it is not there");
    site.finish().await;
}

#[tokio::test]
async fn a_service_that_ends_early_ends_the_steps_beside_it_and_is_the_reason() {
    let (site, at) = Site::with_database().await;
    let job = Arc::clone(&site.master.job);
    let step = tokio::spawn(async move { job.run_step(call("run", "/service:db#0/run#0"), request("hang")).await });
    site.world.executor.started("hang").await;
    site.world.executor.finish(at, StepState::Ended(end(1)));
    let answer = step.await.unwrap().unwrap();
    let why = "service \"db\" ended with exit code 1 while its body ran";
    assert_eq!((answer.outcome, answer.message.as_str()), (Cause::Exit, why));
    let next = site.master.run("/service:db#0/run#1", request("exit 0")).await.unwrap();
    assert_eq!((next.outcome, next.message.as_str()), (Cause::Exit, why));
    assert_eq!(site.world.executor.starts("exit 0"), 0, "no step is begun without it");
    assert_eq!(site.stop().await.message, why);
    let row = site.row(at.step).await;
    assert_eq!((row.status, row.reason.as_deref()), (StepStatus::Failure, Some(why)));
    site.finish().await;
}

#[tokio::test]
async fn a_service_that_never_answers_is_told_with_its_last_words() {
    let site = Site::new().await;
    let starting = site.starting(ServiceRequest { ready_timeout: Some(Duration::from_millis(50)), ..database() });
    let at = site.world.executor.started("postgres:16").await;
    site.world.executor.print(at, danube_shim::index::Stream::Stderr, "one\nFATAL: no space\n");
    let message = starting.await.unwrap().unwrap().message;
    let said =
        "service \"db\" is not ready after 50 ms: port 5432 takes no connection; its log ends: one | FATAL: no space";
    assert_eq!(message, said);
    let row = site.row(at.step).await;
    assert_eq!(row.status, StepStatus::Failure);
    site.finish().await;
}

#[tokio::test]
async fn a_service_that_ends_before_it_answers_is_told_at_once() {
    let site = Site::new().await;
    let starting = site.starting(database());
    let at = site.world.executor.started("postgres:16").await;
    site.world.executor.finish(at, StepState::Ended(end(3)));
    let message = starting.await.unwrap().unwrap().message;
    assert_eq!(message, "service \"db\" ended with exit code 3 while its body ran; it printed nothing");
    site.finish().await;
}

#[tokio::test]
async fn another_master_goes_on_with_what_runs() {
    let (site, at) = Site::with_database().await;
    let Site { world, master } = site;
    master.stop().await;
    let site = Site { master: world.again().await, world };
    // The start is answered, and nothing is started again.
    let again = site.starting(database()).await.unwrap().unwrap();
    assert_eq!(again.message, "");
    assert_eq!(site.world.executor.starts("postgres:16"), 1);
    site.master.run("/service:db#0/run#0", request("exit 0")).await.unwrap();
    assert_eq!(site.world.executor.spec("exit 0").hosts.len(), 1);
    assert_eq!(site.stop().await.message, "");
    assert_eq!(site.row(at.step).await.status, StepStatus::Success);
    site.finish().await;
}

#[tokio::test]
async fn a_service_that_died_while_no_master_was_there_is_the_reason_all_the_same() {
    let (site, at) = Site::with_database().await;
    let Site { world, master } = site;
    master.stop().await;
    world.executor.finish(at, StepState::Ended(end(9)));
    let site = Site { master: world.again().await, world };
    let answer = site.master.run("/service:db#0/run#0", request("exit 1")).await.unwrap();
    assert!(answer.message.contains("service \"db\" ended with exit code 9"), "{answer:?}");
    site.finish().await;
}

#[tokio::test]
async fn a_password_in_the_name_of_its_image_stands_in_no_row() {
    let site = Site::new().await;
    let image = format!("https://me:hunter22@registry.example.com/app@sha256:{}", "a".repeat(64));
    let answer = site.starting(ServiceRequest { image, ..database() }).await.unwrap().unwrap();
    assert!(answer.message.contains("holds no user and password"), "{answer:?}");
    let rows = site.world.steps(site.master.job.row.id).await;
    let row = rows.into_iter().find(|row| row.name == "service db").unwrap();
    assert!(row.image.starts_with("https://***@registry.example.com/app@sha256:"), "{}", row.image);
    assert!(!format!("{answer:?} {row:?}").contains("hunter22"), "{answer:?} {row:?}");
    let _end = site.stop().await;
    site.finish().await;
}

#[tokio::test]
async fn a_start_that_was_cut_short_goes_on() {
    let site = Site::new().await;
    let starting = site.starting(database());
    let at = site.world.executor.started("postgres:16").await;
    let Site { world, master } = site;
    master.stop().await;
    assert!(starting.await.unwrap().is_err());
    let site = Site { master: world.again().await, world };
    let starting = site.starting(database());
    site.world.executor.answers(at);
    assert_eq!(starting.await.unwrap().unwrap().message, "");
    assert_eq!(site.world.executor.starts("postgres:16"), 1);
    assert_eq!(site.stop().await.message, "");
    site.finish().await;
}

#[tokio::test]
async fn a_danubefile_that_ends_in_the_body_takes_its_service_along() {
    let (site, at) = Site::with_database().await;
    let job = site.master.job.row.id;
    site.world.executor.end_coordinator_of(job).await;
    let Site { world, master } = site;
    master.ended().await;
    let row = world.steps(job).await.into_iter().find(|row| row.seq == at.step).unwrap();
    assert_eq!((row.status, row.reason.as_deref()), (StepStatus::Cancelled, Some("stopped with its job")));
}

#[tokio::test]
async fn a_number_is_free_again_when_its_service_has_ended_and_lost_attempts_take_none() {
    let site = Site::new().await;
    let job = Arc::clone(&site.master.job);
    let (lease, id) = (job.lease.id, job.row.id);
    let new = |attempt: u32, key: String| NewStep {
        job_id: id,
        job_attempt: attempt,
        seq: None,
        attempt: 1,
        branch: String::new(),
        key,
        name: "service db".to_owned(),
        image: "postgres:16".to_owned(),
        command: String::new(),
        allow_failure: false,
        kind: steps::StepKind::Service,
    };
    let insert = async |attempt: u32, key: &str| {
        let new = new(attempt, key.to_owned());
        let written =
            site.world.test.store.write("test", Durability::Progress, move |tx| steps::insert(tx, lease, &new));
        written.await.unwrap()
    };
    let attempt = job.row.attempt;
    let mut rows = Vec::new();
    for n in 0..4 {
        rows.push(insert(attempt, &format!("/service:x#{n}/start#0")).await);
    }
    assert_eq!(rows.iter().map(|row| row.service).collect::<Vec<_>>(), [Some(0), Some(1), Some(2), Some(3)]);
    assert_eq!(insert(attempt + 1, "/service:y#0/start#0").await.service, Some(0));
    for number in [2, 1] {
        let (row, end) = (
            rows[number].id,
            steps::StepEnd {
                status: StepStatus::Success,
                cause: None,
                exit_code: None,
                reason: None,
                log_sha256: None,
                log_bytes: None,
                finished_at: job.engine.clock.now(),
            },
        );
        let write = move |tx: &crate::store::Tx<'_>| steps::finish(tx, lease, row, &end);
        site.world.test.store.write("test", Durability::Progress, write).await.unwrap();
    }
    let again = [insert(attempt, "/service:z#0/start#0").await, insert(attempt, "/service:z#1/start#0").await];
    assert_eq!(again.map(|row| row.service), [Some(1), Some(2)]);
    assert_eq!(insert(attempt, "/service:z#2/start#0").await.service, Some(4));
    site.finish().await;
}

#[tokio::test]
async fn a_job_may_start_any_number_of_services_one_after_the_other() {
    let (site, first) = Site::with_database().await;
    // The network of the first one stays behind for now: the next one of its number has one of its own all the same.
    site.world.executor.fail("detach", 1000);
    assert_eq!(site.stop().await.message, "");
    assert_eq!((site.row(first.step).await.status, site.world.executor.attached()), (StepStatus::Success, 1));
    site.world.executor.fail("detach", 0);
    for n in 0..2 {
        let (job, other) = (Arc::clone(&site.master.job), format!("redis:{n}"));
        site.knows_the_image_as(&other).await;
        let request = ServiceRequest { image: other.clone(), ..database() };
        let key = format!("/service:db#{}", n + 1);
        let start = call("start", &format!("{key}/start#0"));
        let starting = tokio::spawn(async move { job.start_service(start, request).await });
        let at = site.world.executor.started(&other).await;
        site.world.executor.answers(at);
        assert_eq!(starting.await.unwrap().unwrap().message, "");
        site.master.job.stop_service(call("stop", &format!("{key}/stop#0"))).await.unwrap();
        assert_eq!(site.world.executor.attached(), 0);
    }
    assert_eq!(site.world.executor.numbers(), [0, 0, 0]);
    site.finish().await;
}

#[tokio::test]
async fn a_service_that_could_not_be_started_leaves_no_network() {
    let site = Site::new().await;
    site.world.executor.fail("ensure_step unheard", 1000);
    let message = site.starting(database()).await.unwrap().unwrap().message;
    assert!(message.starts_with("service \"db\" could not be started"), "{message}");
    assert_eq!((site.world.executor.numbers(), site.world.executor.attached()), (vec![0], 0));
    site.finish().await;
}

#[tokio::test]
async fn what_cannot_be_a_service_is_refused() {
    let site = Site::new().await;
    let start = |key: &'static str, request: ServiceRequest| site.master.job.start_service(call("start", key), request);
    for name in ["DB", "", "a b", "localhost", "-a"] {
        let request = ServiceRequest { name: name.to_owned(), ..database() };
        assert!(matches!(start("/service:db#0/start#0", request).await, Err(CallError::Invalid(_))), "{name}");
    }
    assert!(matches!(start("/service:other#0/start#0", database()).await, Err(CallError::Invalid(_))));
    assert!(matches!(start("/start#0", database()).await, Err(CallError::Invalid(_))));
    site.world.executor.networks.store(false, Ordering::Relaxed);
    site.finish().await;
}
