//! What tests of several rooms begin with: a store in a scratch folder, and a small configuration.
use std::sync::Arc;

use jiff::Timestamp;
use tempfile::TempDir;

use super::egress::Verdict;
use super::{Durability, Store, apply, pipelines};
use crate::model::settings::{Concurrency, Pipeline, Settings, Team, TriggerRule, User};
use crate::model::{JobId, PipelineId};
use crate::platform::{ManualClock, SeededIds};

/// A store that is gone with its folder, and the clock that moves it.
pub(crate) struct TestStore {
    pub(crate) store: Store,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) dir: TempDir,
}

/// The moment at which tests begin.
pub(crate) fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// An empty store.
pub(crate) fn empty(seed: u64) -> TestStore {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(start()));
    let store = Store::open(dir.path(), clock.clone(), Arc::new(SeededIds::new(seed << 32))).unwrap();
    TestStore { store, clock, dir }
}

/// A store with `settings` in force.
pub(crate) async fn with(settings: Settings) -> TestStore {
    let test = empty(1);
    test.apply(settings, "c0ffee").await;
    test
}

impl TestStore {
    /// Applies a commit.
    pub(crate) async fn apply(&self, settings: Settings, sha: &'static str) -> apply::Changes {
        let write = move |tx: &super::Tx<'_>| apply::apply(tx, &settings, sha, tx.now());
        self.store.write("test", Durability::Acknowledged, write).await.unwrap()
    }

    /// Makes every change of a secret's row fail, or no longer.
    pub(crate) fn refuse_secrets(&self, refuse: bool) {
        let sql = if refuse {
            "CREATE TRIGGER refuse BEFORE UPDATE ON secrets BEGIN SELECT RAISE(ABORT, 'refused'); END"
        } else {
            "DROP TRIGGER refuse"
        };
        rusqlite::Connection::open(self.store.path()).unwrap().execute_batch(sql).unwrap();
    }

    /// Puts so many names on the record of a job's first step.
    pub(crate) fn fill_egress(&self, job: JobId, verdict: Verdict, count: u32) {
        let sql = "INSERT INTO egress_hosts (job_id, step, name, verdict, detail, asked_at)
            WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?3)
            SELECT ?1, 1, 'n' || n || '.example.com', ?2, '', 0 FROM n";
        let conn = rusqlite::Connection::open(self.store.path()).unwrap();
        conn.execute(sql, rusqlite::params![job, verdict, count]).unwrap();
    }

    /// The id of a pipeline.
    pub(crate) async fn pipeline_id(&self, name: &str) -> PipelineId {
        let name = name.to_owned();
        self.store.read(move |view| pipelines::find_by_name(view, &name)).await.unwrap().unwrap().id
    }
}

/// Two teams: `web` with alice (admin) and bob, `ops` with root, who may do everything.
pub(crate) fn settings(pipelines: Vec<Pipeline>) -> Settings {
    let user = |name: &str| User { name: name.into(), email: format!("{name}@example.com"), password_hash: None };
    let team = |name: &str, members: &[&str], admins: &[&str], global_admin| Team {
        name: name.into(),
        members: members.iter().map(|m| format!("{m}@example.com")).collect(),
        admins: admins.iter().map(|m| format!("{m}@example.com")).collect(),
        global_admin,
    };
    Settings {
        users: vec![user("alice"), user("bob"), user("root")],
        teams: vec![team("web", &["alice", "bob"], &["alice"], false), team("ops", &["root"], &[], true)],
        pipelines,
        ..Settings::default()
    }
}

/// A pipeline that anybody of its team may start.
pub(crate) fn pipeline(name: &str, team: &str) -> Pipeline {
    Pipeline {
        name: name.into(),
        team: team.into(),
        repository: format!("https://git.example.com/{name}.git"),
        branch_filter: Vec::new(),
        triggers: vec![TriggerRule::Manual],
        paths: Vec::new(),
        script: "danubefile.py".into(),
        max_duration_seconds: 3600,
        workspace_size_gb: 5,
        caps: Vec::new(),
        permissions: Vec::new(),
        egress_allowlist: None,
        concurrency: Concurrency::default(),
        attempts: 3,
        secrets: Vec::new(),
        params: Vec::new(),
        protected_branches: crate::model::settings::usual_branches(),
    }
}
