//! The states of a server, each with a server of its own.
use std::fs;
use std::time::Duration;

use danube::model::JobId;
use danube::model::job::Event;
use danube::store::audit_log::{self, Decision, Entry};
use serde_json::{Value, json};

use super::seed::{Push, Ran, Seed};
use super::{around, bulk, corpus, jobs, reports};
use crate::support::server::{Danube, Setup, TRIGGERS, danubefile};

/// What happened lies within this time.
const PAST: Duration = Duration::from_secs(9 * 3600);

/// Pipelines of the huge state, and jobs of each.
const PIPELINES: usize = 200;
const JOBS_EACH: u32 = 25;

/// A server in a state, and what a driver must know of it.
pub(super) struct World {
    pub(super) name: &'static str,
    server: Danube,
    facts: Value,
}

impl World {
    fn new(name: &'static str, server: Danube, facts: Value) -> Self {
        Self { name, server, facts }
    }

    pub(super) fn server(&self) -> &Danube {
        &self.server
    }

    /// One of the names to put into addresses.
    pub(super) fn fact(&self, name: &str) -> String {
        self.facts[name].as_str().expect(name).to_owned()
    }

    /// Where it is, a way in, and the names to put into addresses.
    pub(super) fn facts(&self) -> Value {
        let address = fs::read_to_string(self.server.data().join("http.addr")).unwrap();
        let link = self.server.post("/api/v1/login-links", &Value::Null).with(201);
        let mut facts = self.facts.clone();
        facts["base"] = json!(format!("http://{}", address.trim()));
        facts["link"] = link["path"].clone();
        facts
    }
}

/// A pipeline of a repository that is away, so that nothing of it is ever driven.
fn document(name: &str) -> String {
    format!(
        "apiVersion: danube.dev/v1\nkind: Pipeline\nmetadata: {{name: {name}, team: core}}\nspec:\n  repository: \
         file:///srv/git/{name}.git\n{TRIGGERS}"
    )
}

/// Params of every type.
const PARAMS: &str = "  params:\n    - {name: target, type: choice, choices: [staging, production], description: Where to}\n    \
                      - {name: tries, type: integer, default: 3}\n    - {name: dry-run, type: boolean}\n    - {name: note, \
                      description: Shown in the release notes}\n";

/// One whose params were written by a stranger.
fn with_hostile_params(name: &str) -> String {
    let entries = (0..13).map(|n| {
        let choices = [corpus::text(n).chars().take(100).collect::<String>(), "plain".to_owned()];
        let mut param = json!({
            "name": format!("p{n}{}", "w".repeat(60)),
            "type": if n % 2 == 0 { "choice" } else { "string" },
            "description": corpus::text(n),
        });
        if n % 2 == 0 {
            param["choices"] = json!(choices);
        } else {
            param["default"] = json!(corpus::text(n));
        }
        format!("    - {param}\n")
    });
    format!("{}  params:\n{}", document(name), entries.collect::<String>())
}

/// A server whose configuration has these pipelines, stopped.
fn configured(names: &[String], global: &str) -> Danube {
    let file = danubefile(&["step.run('true', name='make', image='host')"]);
    let mut server = Danube::prepared(&Setup { files: &[("danubefile.py", &file)], pipeline: TRIGGERS, global });
    let files: Vec<(String, String)> =
        names.iter().map(|name| (format!("pipelines/{name}.yaml"), document(name))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    crate::support::repo::commit(&server.conf(), &files, "pipelines");
    server.start();
    server.stop();
    server
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Fills a stopped server and starts it again.
fn seeded<T>(server: &mut Danube, fill: impl FnOnce(&Seed) -> T) -> T {
    let seed = Seed::open(&server.data(), PAST);
    let made = fill(&seed);
    // What the rows say of workspaces is true of the executor's directories.
    for kept in seed.store.read_blocking(danube::store::kept_workspaces::here).unwrap() {
        fs::create_dir_all(server.workspace(&kept.job_id.to_string())).unwrap();
    }
    seed.close();
    server.start();
    made
}

/// No configuration was ever read.
pub(super) fn empty() -> World {
    let mut server = Danube::prepared(&Setup { files: &[("README", "")], pipeline: TRIGGERS, global: "" });
    fs::remove_dir_all(server.conf()).unwrap();
    server.launch();
    World::new("empty", server, json!({}))
}

/// A pipeline that never ran.
pub(super) fn idle() -> World {
    let mut server = configured(&[], "");
    server.start();
    World::new("idle", server, json!({ "pipeline": "app" }))
}

/// One runs, one waits for it.
pub(super) fn running() -> World {
    let mut server = configured(&names(&["web", "tomli"]), "  concurrency: {max_running_jobs: 1}\n");
    let (job, waiting) = seeded(&mut server, |seed| {
        jobs::history(seed, "tomli", false);
        seed.pass_until(Duration::from_secs(40));
        let job = jobs::running(seed, "web");
        (job, seed.pending("tomli", &Push { branch: "faster-tables".to_owned(), ..Push::default() }))
    });
    World::new("running", server, facts("web", job, 1, &[("waiting", waiting)]))
}

/// Red in every way, and the newest commit of the config repo is refused.
pub(super) fn failed() -> World {
    let mut server = configured(&names(&["web", "tomli"]), "");
    let (job, others) = seeded(&mut server, |seed| {
        jobs::history(seed, "web", true);
        let others = [
            ("cancelled", jobs::cancelled(seed, "tomli")),
            ("timeout", jobs::timeout(seed, "tomli")),
            ("rejected", jobs::rejected(seed, "tomli")),
        ];
        let taken = jobs::red(seed, "tomli");
        let others =
            [others[0], others[1], others[2], ("taken", taken), ("goes_on", jobs::gone_on(seed, "tomli", taken))];
        seed.pass_until(Duration::from_secs(300));
        (jobs::red(seed, "web"), others)
    });
    let wrong = document("tomli").replace("team: core", "team: cores").replace("on: push", "on: pusch");
    server.configure(&[("pipelines/tomli.yaml", &wrong)]);
    let mut facts = facts("web", job, 15, &others);
    facts["case"] = json!(test_case(&server, "web"));
    World::new("failed", server, facts)
}

/// All green, with a record that is signed.
pub(super) fn succeeded() -> World {
    let mut server = configured(&names(&["web", "tomli"]), "");
    let job = seeded(&mut server, |seed| {
        jobs::history(seed, "tomli", false);
        seed.pass_until(Duration::from_secs(300));
        jobs::green(seed, "tomli")
    });
    server.attestation(&job.to_string());
    accepted(&server, "pipelines/tomli.yaml", &(document("tomli") + PARAMS));
    secrets(&server, "pipeline/tomli", &["PYPI_TOKEN", "SIGNING_KEY"]);
    let mut facts = facts("tomli", job, 15, &[]);
    facts["secret"] = json!("PYPI_TOKEN");
    World::new("succeeded", server, facts)
}

/// Many of everything, long names, hostile texts.
pub(super) fn huge() -> World {
    let long = "a".repeat(63);
    let many: Vec<String> = (1..PIPELINES - 1).map(|n| format!("service-{n:03}")).chain([long.clone()]).collect();
    let mut server = configured(&many, "");
    let seed = Seed::open(&server.data(), PAST);
    let pattern = jobs::green(&seed, "app");
    let until = seed.now();
    seed.close();
    bulk::copy_job(&mut server.database(), pattern, JOBS_EACH, until);
    let seed = Seed::open(&server.data(), Duration::from_secs(600));
    let job = huge_job(&seed, &long);
    let hostile = hostile_job(&seed, &long);
    note_hostile(&seed);
    seed.close();
    server.start();
    accepted(&server, &format!("pipelines/{long}.yaml"), &with_hostile_params(&long));
    let keys: Vec<String> = (0..40).map(|n| format!("{}_{n}", "SECRET".repeat(20))).collect();
    secrets(&server, &format!("pipeline/{long}"), &keys.iter().map(String::as_str).collect::<Vec<_>>());
    server.post("/api/v1/tokens", &json!({"name": corpus::text(1).chars().take(60).collect::<String>(), "scopes": []}));
    let mut facts = facts(&long, job, u64::from(JOBS_EACH) + 1, &[("hostile", hostile)]);
    facts["case"] = json!(test_case(&server, &long));
    facts["secret"] = json!(keys[0]);
    World::new("huge", server, facts)
}

/// Changes the configuration.
fn accepted(server: &Danube, path: &str, text: &str) {
    server.configure(&[(path, text)]);
    let status = server.get("/api/v1/config/status").with(200);
    assert_eq!(status["ok"], true, "{status:#}");
}

/// Secrets of a scope.
fn secrets(server: &Danube, scope: &str, keys: &[&str]) {
    for key in keys {
        server.put(&format!("/api/v1/secrets/{scope}/{key}"), b"a value of a test").with(204);
    }
}

/// The address of a test that fails.
fn test_case(server: &Danube, pipeline: &str) -> String {
    let id: i64 = server
        .database()
        .query_row(
            "SELECT c.id FROM test_cases AS c JOIN pipelines AS p ON p.id = c.pipeline_id WHERE p.name = ?1 AND \
             c.last_failed IS NOT NULL ORDER BY c.id LIMIT 1",
            [pipeline],
            |row| row.get(0),
        )
        .unwrap();
    id.to_string()
}

/// 500 steps; the one that failed left a log of 100 MB.
fn huge_job(seed: &Seed, pipeline: &str) -> JobId {
    let lease = seed.running(pipeline, &push(3));
    seed.title(lease, &corpus::text(0));
    let names: Vec<String> =
        (0..500).map(|n| if n % 50 == 7 { corpus::text(n) } else { format!("part {n}") }).collect();
    let log = huge_log();
    let steps: Vec<Ran<'_>> = names
        .iter()
        .enumerate()
        .map(|(n, name)| Ran {
            name,
            branch: if n % 5 == 0 { "" } else { "/matrix#0[part=many]" },
            code: Some(i32::from(n == 250)),
            seconds: (n as u64 / 5, 1 + n as u64 % 5),
            log: if n == 250 { &log } else { b"a line\n" },
        })
        .collect();
    seed.steps(lease, &steps);
    for n in 0..40 {
        seed.artifact(lease, &format!("{n} {}", corpus::text(n)), b"bytes");
    }
    around::usual(seed, lease, pipeline);
    reports::many(seed, lease);
    seed.pass(120);
    seed.end(lease, Event::Exited { code: 1 }, Some(&format!("step \"part 250\" failed: {}", corpus::text(1))));
    lease.job
}

/// A line of a hundred bytes, a million times, and one that says what is wrong.
fn huge_log() -> Vec<u8> {
    let line = format!("{:<99}\n", "   Compiling a-crate v1.2.3 (registry+https://registry.example.com/index)");
    let mut log = line.repeat(500_000).into_bytes();
    log.extend(b"error[E0308]: mismatched types in src/parser.rs:120:14\n");
    log.extend(line.repeat(499_990).into_bytes());
    log
}

/// Every text of a stranger, in every field.
fn hostile_job(seed: &Seed, pipeline: &str) -> JobId {
    let lease = seed.running(pipeline, &push(1));
    seed.title(lease, &corpus::text(4));
    let names: Vec<String> = (0..13).map(corpus::text).collect();
    let branches: Vec<String> = (0..13).map(|n| format!("/parallel#0[{}]", corpus::text(n))).collect();
    let log = corpus::log();
    let steps: Vec<Ran<'_>> = (0..13)
        .map(|n| Ran {
            name: &names[n],
            branch: &branches[n],
            code: Some(i32::from(n == 12)),
            seconds: (n as u64, 3),
            log: &log,
        })
        .collect();
    seed.steps(lease, &steps);
    seed.artifact(lease, &corpus::text(7), b"bytes");
    around::hostile(seed, lease, pipeline);
    reports::hostile(seed, lease);
    seed.pass(20);
    seed.end(lease, Event::Exited { code: 1 }, Some(&corpus::all()));
    lease.job
}

fn push(n: usize) -> Push {
    Push {
        branch: corpus::text(n),
        message: corpus::all(),
        author: corpus::text(n + 1),
        params: (0..13).map(|n| (format!("{n} {}", corpus::text(n)), corpus::text(n))).collect(),
    }
}

fn note_hostile(seed: &Seed) {
    for n in 0..60 {
        let entry = Entry {
            principal: danube::model::Principal::System,
            action: "session.begin".to_owned(),
            resource: corpus::text(n),
            decision: if n % 3 == 0 { Decision::Denied } else { Decision::Allowed },
            detail: corpus::text(n + 1),
            pipeline: None,
        };
        seed.write(move |tx| audit_log::append(tx, &entry));
    }
}

/// A pipeline that really runs, and fails when it is not stopped before.
pub(super) fn live() -> World {
    let failing = jobs::FAILING;
    let fails = format!("step.run(\"sleep 2; seq 1 200; echo '{failing}'; exit 1\", name='test', image='host')");
    let server = Danube::building(&[&fails]);
    server.configure(&[("pipelines/slow.yaml", &slow(&server))]);
    let job = server.trigger();
    server.reaches(&job, &["failure"]);
    World::new("live", server, json!({ "pipeline": "app", "slow": "slow", "job": job, "failing": failing }))
}

/// Where the second danubefile of the repository is.
const SCRIPT: &str = "  script: slow.py\n";

/// Lines that the growing log gets.
const GROWS: u32 = 300;

/// A job with a long log failed; another one will write while somebody looks.
pub(super) fn logs() -> World {
    let failing = jobs::FAILING;
    let long = format!("step.run(\"seq -f 'line %.0f' 1 8000; echo '{failing}'; exit 1\", name='test', image='host')");
    let server = Danube::building(&[&long]);
    let grows = format!(
        "step.run(\"for i in $(seq {GROWS}); do echo grows $i; sleep 0.05; done; printf 'no end of line'\", \
         name='grow', image='host')"
    );
    let file = danubefile(&[&grows, "step.run('echo came later', name='later', image='host')"]);
    crate::support::repo::commit(&server.app(), &[("slow.py", &file.replace("\"app\"", "\"slow\""))], "slow");
    server.configure(&[("pipelines/slow.yaml", &server.pipeline_document("slow", &format!("{TRIGGERS}{SCRIPT}")))]);
    let job = server.trigger();
    server.reaches(&job, &["failure"]);
    World::new("logs", server, json!({ "slow": "slow", "job": job, "grows": GROWS, "failing": failing }))
}

/// The same repository by a danubefile that takes its time.
fn slow(server: &Danube) -> String {
    let file = danubefile(&["step.run('sleep 600', name='sleep', image='host')"]);
    crate::support::repo::commit(&server.app(), &[("slow.py", &file.replace("\"app\"", "\"slow\""))], "slow");
    server.pipeline_document("slow", &format!("{TRIGGERS}{SCRIPT}{PARAMS}"))
}

fn facts(pipeline: &str, job: JobId, number: u64, others: &[(&str, JobId)]) -> Value {
    let mut facts = json!({ "pipeline": pipeline, "job": job.to_string(), "number": number });
    for (name, id) in others {
        facts[*name] = json!(id.to_string());
    }
    facts
}
