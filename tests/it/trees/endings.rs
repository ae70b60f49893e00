//! Process trees that do not want to end, and everything that ends them, on a real server.
use std::fs;

use serde_json::{Value, json};

use super::{cgroups, nothing_lives, processes};
use crate::support::server::{Danube, Setup, danubefile, until};

/// What a step may make of its processes.
const KINDS: [&str; 4] = ["daemon", "deaf", "stopped", "bomb"];

/// Each command starts its tree and goes on when it stands.
const TREES: &str = r#"
import os

TREES = {
    # Two forks and a session of its own, away from every parent it had.
    "daemon": "(setsid sh -c '(touch stands full; while :; do sleep 0.05; done) & exit 0' > /dev/null 2>&1 &); ",
    "deaf": "sh -c 'trap \"\" TERM HUP INT; touch stands full; while :; do sleep 1; done' & ",
    # It says what it hears, though it does not run.
    "stopped": "sh -c 'trap \"echo woke; exit 0\" TERM; touch stands full; kill -STOP $$; "
    "while :; do sleep 0.05; done' & ",
    # As many as its box holds, when the step itself needs no further process.
    "bomb": """python3 -c '
import os, time
open("stands", "w")
while not os.path.exists("up"):
    time.sleep(0.02)
while True:
    try:
        os.fork()
    except OSError:
        open("full", "w")
        time.sleep(0.05)
' & """,
}
STANDS = "until test -e stands; do sleep 0.02; done; echo up; : > up; "
STAYS = "exec sleep 3600"
ENDS = "exec python3 -c 'import os, time\nwhile not os.path.exists(\"full\"): time.sleep(0.02)\nprint(\"mine\")'"


def tree(then, **more):
    return step.run(TREES[ctx.params["kind"]] + STANDS + then, name="tree", image="host", cpu=0.3, **more)
"#;

/// The body of the pipeline; each way to an end is one value of `end`.
const BODY: [&str; 15] = [
    "end = ctx.params['end']",
    "if end == 'neighbour':",
    "    step.run('i=0; until test -e go; do i=$((i+1)); echo $i; sleep 0.05; done', name='count', image='host')",
    "elif end == 'own':",
    "    tree(ENDS)",
    "    step.run('until test -e go; do sleep 0.02; done', name='next', image='host')",
    "elif end == 'timeout':",
    "    tree(STAYS, timeout='8s')",
    "elif end == 'job':",
    "    def over():",
    "        step.run('until test -e full; do sleep 0.02; done', name='look', image='host')",
    "        os._exit(3)",
    "    step.parallel(lambda: tree(STAYS), over)",
    "else:",
    "    tree(STAYS)",
];

const PARAMS: &str = "  triggers: [{on: manual}]
  params:
    - {name: kind, type: string, default: ''}
    - {name: end, type: string, default: ''}
";

struct Trees {
    server: Danube,
    neighbour: String,
    jobs: Vec<(&'static str, String)>,
}

impl Trees {
    /// A job of each kind, and one that has nothing to do with them.
    fn start(end: &str) -> Self {
        let file = danubefile(&BODY).replacen("\n\n\n", &format!("\n{TREES}\n\n"), 1);
        let pipeline = match end {
            "deadline" => format!("{PARAMS}  max_duration_seconds: 20\n"),
            _ => PARAMS.to_owned(),
        };
        let mut server = Danube::prepared(&Setup {
            files: &[("danubefile.py", &file)],
            pipeline: &pipeline,
            global: "  concurrency: {max_running_jobs: 8}\n",
        });
        // As many processes as a bomb gets.
        let toml = fs::read_to_string(server.toml()).unwrap();
        fs::write(server.toml(), format!("{toml}\n[executor.limits]\npids = 100\n")).unwrap();
        server.start();
        let neighbour = begin(&server, "", "neighbour");
        let jobs = KINDS.map(|kind| (kind, begin(&server, kind, end))).to_vec();
        Self { server, neighbour, jobs }
    }

    /// Waits until every tree stands; the daemon's own end is no end of the job's.
    fn stand(&self) {
        for (kind, job) in &self.jobs {
            until("the tree stands", || self.server.workspace(job).join("full").exists().then_some(()));
            until("the step says so", || self.server.log(job, 1).contains("up\n").then_some(()));
            if *kind == "bomb" {
                assert!(processes(job).len() > 80);
            }
        }
    }

    /// The end of each job; with it, nothing of it is left.
    fn end(&self, check: impl Fn(&str, &Value, &str)) {
        for (kind, job) in &self.jobs {
            let ended = self.server.ended(job);
            nothing_lives(job);
            assert_eq!(cgroups(job), [] as [&std::path::Path; 0], "{kind}");
            // What ended badly after a step that ended well may go on from there, without anything that lived in it.
            let well = |step: &Value| step["status"] == "success";
            let goes_on = ended["status"] != "success" && ended["steps"].as_array().unwrap().iter().any(well);
            assert_eq!(self.server.workspace(job).exists(), goes_on, "{kind}: its workspace");
            check(kind, &ended, &self.server.log(job, step(&ended)));
        }
        // Nobody else noticed.
        self.release_neighbour();
        let neighbour = self.server.succeeds(&self.neighbour);
        assert_eq!((&neighbour["attempt"], &neighbour["steps"][0]["attempt"]), (&json!(1), &json!(1)));
        let log = self.server.log(&self.neighbour, 1);
        let whole: String = (1..=log.lines().count()).map(|n| format!("{n}\n")).collect();
        assert_eq!(log, whole);
    }
}

impl Trees {
    /// Lets the neighbour end; well where it has.
    fn release_neighbour(&self) {
        until("the neighbour runs", || {
            let job = self.server.job(&self.neighbour);
            (job["steps"].as_array().unwrap().iter().any(|step| step["started_at"].is_string())).then_some(())
        });
        let workspace = self.server.workspace(&self.neighbour);
        if workspace.exists() {
            fs::write(workspace.join("go"), "").unwrap();
        }
    }
}

/// The number of the step that made the tree: others may run beside it.
fn step(job: &Value) -> u32 {
    let tree = job["steps"].as_array().unwrap().iter().find(|step| step["name"] == "tree").unwrap();
    u32::try_from(tree["n"].as_u64().unwrap()).unwrap()
}

fn begin(server: &Danube, kind: &str, end: &str) -> String {
    let body = json!({ "params": { "kind": kind, "end": end } });
    let started = server.post("/api/v1/pipelines/app/trigger", &body).with(201);
    started["id"].as_str().unwrap().to_owned()
}

/// The last word of a stopped process is in the log: it was asked, and it could answer.
fn heard(kind: &str, log: &str) {
    let expected = if kind == "stopped" { "up\nwoke\n" } else { "up\n" };
    assert_eq!(log, expected, "{kind}");
}

#[test]
fn a_cancel_ends_every_tree() {
    let trees = Trees::start("cancel");
    trees.stand();
    for (_, job) in &trees.jobs {
        trees.server.post(&format!("/api/v1/jobs/{job}/cancel"), &Value::Null).with(202);
    }
    trees.end(|kind, job, log| {
        assert_eq!(
            (&job["status"], &job["reason"]),
            (&json!("cancelled"), &json!("cancelled by local-admin")),
            "{kind}"
        );
        assert_eq!(job["steps"][0]["status"], "cancelled", "{kind}");
        heard(kind, log);
    });
}

#[test]
fn a_cancel_ends_every_tree_though_the_executor_dies_meanwhile() {
    let trees = Trees::start("cancel");
    trees.stand();
    for (_, job) in &trees.jobs {
        trees.server.post(&format!("/api/v1/jobs/{job}/cancel"), &Value::Null).with(202);
    }
    // One that does not listen is in its grace now.
    let words = trees.server.kill_executor();
    trees.server.start_executor(&words);
    trees.end(|kind, job, log| {
        assert_eq!(job["status"], "cancelled", "{kind}: {job:#}");
        assert!(log.starts_with("up\n"), "{kind}: {log}");
    });
}

#[test]
fn a_steps_own_time_ends_every_tree() {
    let trees = Trees::start("timeout");
    trees.end(|kind, job, log| {
        assert_eq!(job["status"], "failure", "{kind}: {job:#}");
        let step = &job["steps"][0];
        let reason = "it ran longer than its timeout of 8 s";
        assert_eq!((&step["status"], &step["reason"]), (&json!("timeout"), &json!(reason)), "{kind}");
        assert!(job["reason"].as_str().unwrap().contains(reason), "{kind}: {}", job["reason"]);
        heard(kind, log);
    });
}

#[test]
fn a_jobs_deadline_ends_every_tree() {
    let trees = Trees::start("deadline");
    // It has the same deadline.
    trees.release_neighbour();
    trees.end(|kind, job, log| {
        assert_eq!(job["status"], "timeout", "{kind}: {job:#}");
        assert_eq!(job["reason"], "it ran longer than 20 s, which is `max_duration_seconds` of the pipeline", "{kind}");
        assert_eq!(job["steps"][0]["status"], "cancelled", "{kind}");
        heard(kind, log);
    });
}

#[test]
fn a_step_that_ends_leaves_nothing_running() {
    let trees = Trees::start("own");
    for (kind, job) in &trees.jobs {
        until("the step has ended", || {
            let job = trees.server.job(job);
            (job["steps"][0]["status"] == "success").then_some(())
        });
        nothing_lives(&format!("{job}/1.1"));
        until("its cgroups are gone", || cgroups(job).iter().all(|path| !path.join("1.1").exists()).then_some(()));
        let log = trees.server.log(job, 1);
        let (all, asked) = ("up\nmine\n".to_owned(), "up\nmine\nwoke\n".to_owned());
        assert_eq!(log, if *kind == "stopped" { asked } else { all }, "{kind}");
        until("the next step runs", || {
            let job = trees.server.job(job);
            (job["steps"][1]["status"] == "running").then_some(())
        });
        fs::write(trees.server.workspace(job).join("go"), "").unwrap();
    }
    trees.end(|kind, job, _| assert_eq!(job["status"], "success", "{kind}: {job:#}"));
}

#[test]
fn a_danubefile_that_ends_leaves_nothing_running() {
    let trees = Trees::start("job");
    trees.end(|kind, job, log| {
        assert_eq!(job["status"], "failure", "{kind}: {job:#}");
        assert_eq!(job["reason"], "the danubefile exited with code 3", "{kind}");
        heard(kind, log);
    });
}
