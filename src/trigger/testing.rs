//! A store with a configuration in force, mirrors and real repositories, for tests of this room.
use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Accepted, Ctx, Headers, Rejected, accept};
use crate::mirror::Repos;
use crate::mirror::testing::Source;
use crate::model::settings::{Concurrency, Global, Pipeline, Settings, Team, TriggerRule, Webhook};
use crate::model::{DeliveryId, PipelineId, Secret};
use crate::platform::{ManualClock, SeededIds};
use crate::secrets;
use crate::store::deliveries::DeliveryRow;
use crate::store::secrets::Scope;
use crate::store::{Durability, JobRow, Store, apply, deliveries, jobs, pipelines};

pub(super) const SECRET: &[u8] = b"webhook-secret";

/// Everything a trigger touches.
pub(super) struct Bench {
    pub(super) dir: tempfile::TempDir,
    pub(super) ctx: Ctx,
    pub(super) clock: Arc<ManualClock>,
    pub(super) stop: CancellationToken,
}

pub(super) fn pipeline(name: &str, repository: &str, triggers: &[TriggerRule]) -> Pipeline {
    Pipeline {
        name: name.to_owned(),
        team: "web".to_owned(),
        repository: repository.to_owned(),
        branch_filter: Vec::new(),
        triggers: triggers.to_vec(),
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

impl Bench {
    pub(super) async fn new(pipelines: Vec<Pipeline>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new("2026-05-04T10:00:00Z".parse().unwrap()));
        let ctx = open(dir.path(), Arc::clone(&clock), 1).await;
        for (key, value) in [("HOOK", SECRET), ("NEW", b"the-new-one")] {
            secrets::set(&ctx.store, &ctx.vault, Scope::Global, key, Secret::new(value.to_vec()), "test")
                .await
                .unwrap();
        }
        let bench = Self { dir, ctx, clock, stop: CancellationToken::new() };
        bench.apply(pipelines).await;
        bench
    }

    /// As after a `kill -9`: all that is left is on disk.
    pub(super) async fn restart(&mut self) {
        self.ctx = open(self.dir.path(), Arc::clone(&self.clock), 1_000_000).await;
    }

    pub(super) async fn apply(&self, pipelines: Vec<Pipeline>) {
        let webhook = |name: &str, secret: &str, previous: Option<&str>| Webhook {
            name: name.to_owned(),
            forge: "github".to_owned(),
            secret: secret.to_owned(),
            previous_secret: previous.map(str::to_owned),
        };
        let settings = Settings {
            global: Global {
                webhooks: vec![
                    webhook("default", "HOOK", None),
                    webhook("rotating", "NEW", Some("HOOK")),
                    webhook("missing", "NONE", None),
                ],
                ..Global::default()
            },
            teams: vec![Team { name: "web".into(), members: vec![], admins: vec![], global_admin: false }],
            users: vec![],
            pipelines,
        };
        let now = self.now();
        let write = move |tx: &crate::store::Tx<'_>| apply::apply(tx, &settings, &"c".repeat(40), now).map(drop);
        self.ctx.store.write("test", Durability::Acknowledged, write).await.unwrap();
    }

    pub(super) fn now(&self) -> Timestamp {
        use crate::platform::Clock as _;
        self.clock.now()
    }

    pub(super) async fn pipeline_id(&self, name: &str) -> PipelineId {
        let name = name.to_owned();
        let found = self.ctx.store.read(move |view| pipelines::find_by_name(view, &name));
        found.await.unwrap().unwrap().id
    }

    /// Every job, oldest first.
    pub(super) async fn jobs(&self) -> Vec<JobRow> {
        self.ctx.store.read(|view| jobs::pending(view, 1000)).await.unwrap()
    }

    pub(super) async fn deliveries(&self) -> Vec<DeliveryRow> {
        self.ctx.store.read(|view| deliveries::recent(view, 1000)).await.unwrap()
    }

    pub(super) async fn outcome(&self, id: DeliveryId) -> (deliveries::DeliveryState, String) {
        let row = self.ctx.store.read(move |view| deliveries::get(view, id)).await.unwrap();
        (row.state, row.outcome.unwrap_or_default())
    }

    pub(super) async fn deliver(&self, id: &str, event: &str, body: &str) -> Result<Accepted, Rejected> {
        accept(&self.ctx, "github", "default", &signed(SECRET, id, event, body), body.as_bytes()).await
    }

    /// Delivers a push that is new, and returns it.
    pub(super) async fn push(&self, id: &str, source: &Source, reference: &str, before: &str) -> DeliveryId {
        match self.deliver(id, "push", &push_body(&source.url(), reference, before)).await.unwrap() {
            Accepted::New(id) => id,
            Accepted::SeenBefore => panic!("seen before"),
        }
    }
}

pub(super) fn push_body(url: &str, reference: &str, before: &str) -> String {
    serde_json::json!({
        "ref": reference, "before": before, "after": "5".repeat(40),
        "repository": {"full_name": "web/shop", "clone_url": url, "html_url": "https://git.example.com/web/shop"},
    })
    .to_string()
}

pub(super) fn signed(secret: &[u8], id: &str, event: &str, body: &str) -> Headers {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    let digest = hex::encode(ring::hmac::sign(&key, body.as_bytes()));
    let signature = format!("sha256={digest}");
    [("X-GitHub-Delivery", id), ("X-GitHub-Event", event), ("X-Hub-Signature-256", &signature)].into_iter().collect()
}

async fn open(dir: &std::path::Path, clock: Arc<ManualClock>, seed: u64) -> Ctx {
    let ids = Arc::new(SeededIds::new(seed));
    let store = Store::open(dir, clock, ids.clone()).unwrap();
    let vault = secrets::open(&store, &dir.join("keys"), ids).await.unwrap();
    let repos = Arc::new(Repos::open(&dir.join("repos")).unwrap());
    Ctx { store, repos, known_hosts: dir.join("keys/known_hosts"), vault, room: super::Room::default() }
}
