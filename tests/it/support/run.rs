//! `danube run` as a person calls it: a repository of its own, the real program, what it left.
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::machine::machine_snapshot;
use super::repo::repository;
use super::{danube, forget_kept, shim};

/// No run of these tests takes longer, whatever else the machine does.
const PATIENCE: Duration = Duration::from_secs(180);

/// A repository and how it is to be run.
pub(crate) struct Run {
    dir: tempfile::TempDir,
    env: Vec<(String, String)>,
    json: bool,
}

impl Run {
    /// A repository whose danubefile is `text`.
    pub(crate) fn new(text: &str) -> Self {
        Self::with(&[("danubefile.py", text)])
    }

    /// A repository whose pipeline function has this body.
    pub(crate) fn body(body: &str) -> Self {
        Self::new(&pipeline(body))
    }

    /// A repository with these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::Builder::new().prefix("it-run-").tempdir().unwrap();
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
        repository(&dir.path().join("repo"), files);
        Self { dir, env: Vec::new(), json: true }
    }

    /// A variable of the caller's environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Progress instead of JSON.
    pub(crate) fn shown(mut self) -> Self {
        self.json = false;
        self
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The hex digits in all names that this run makes on the machine.
    pub(crate) fn instance(&self) -> String {
        fs::read_to_string(self.data().join("instance")).unwrap().trim().to_owned()
    }

    /// The executor's directory of the run.
    pub(crate) fn executor(&self) -> PathBuf {
        Path::new("/var/lib/danube-executor").join(format!("run-{}", self.instance()))
    }

    /// The program with its arguments.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(danube());
        self.arguments(&mut command);
        command
    }

    pub(crate) fn arguments(&self, command: &mut Command) {
        command.arg("run").arg(self.repo()).arg("--data-dir").arg(self.data());
        command.args(self.json.then_some("--json"));
        command.env("DANUBE_SHIM", shim()).envs(self.env.iter().map(|(name, value)| (name, value)));
    }

    /// Starts a command whose output goes to files of the run.
    pub(crate) fn start(&self, mut command: Command) -> Started<'_> {
        let file = |name| File::create(self.dir.path().join(name)).unwrap();
        let child = command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err")).spawn().unwrap();
        Started { run: self, child }
    }

    /// Runs to the end; nothing of it is on the machine then.
    pub(crate) fn end(&self) -> End {
        self.start(self.command()).end()
    }

    /// What is printed so far.
    pub(crate) fn printed(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join(name)).unwrap_or_default()).into_owned()
    }

    /// Waits until a file of the run's data directory fulfils a condition.
    pub(crate) fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let limit = Instant::now() + PATIENCE;
        while !condition() {
            assert!(Instant::now() < limit, "not seen: {what}\n{}{}", self.printed("out"), self.printed("err"));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The log of a step, wherever the job's directory is; empty until it is there.
    pub(crate) fn log(&self, step: u32, attempt: u32) -> String {
        String::from_utf8_lossy(&self.log_bytes(step, attempt)).into_owned()
    }

    pub(crate) fn log_bytes(&self, step: u32, attempt: u32) -> Vec<u8> {
        let jobs = fs::read_dir(self.data().join("logs")).into_iter().flatten().flatten();
        let mut logs = jobs.filter_map(|job| fs::read(job.path().join(format!("{step}.{attempt}.log"))).ok());
        logs.next().unwrap_or_default()
    }
}

/// A danubefile around the body of its function.
pub(crate) fn pipeline(body: &str) -> String {
    let body: String = body.trim_matches('\n').lines().map(|line| format!("    {line}\n")).collect();
    format!("from danube import *\n@pipeline(name=\"test\")\ndef build():\n{body}")
}

/// A run that goes on.
pub(crate) struct Started<'a> {
    run: &'a Run,
    pub(crate) child: Child,
}

impl Started<'_> {
    pub(crate) fn end(mut self) -> End {
        let limit = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > limit {
                let _killed = self.child.kill();
                panic!("the run does not end\n{}{}", self.run.printed("out"), self.run.printed("err"));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let (out, err) = (self.run.printed("out"), self.run.printed("err"));
        if let Ok(instance) = fs::read_to_string(self.run.data().join("instance")) {
            assert_nothing_of(instance.trim());
        }
        End { code: status.code().expect("it was not killed"), json: serde_json::from_str(&out).ok(), out, err }
    }
}

/// All that an instance makes on a machine bears its name. Its executor may be on its last instructions.
pub(crate) fn assert_nothing_of(instance: &str) {
    let tree = Path::new("/var/lib/danube-executor").join(format!("run-{instance}"));
    forget_kept(&tree);
    assert!(!tree.exists(), "left behind: {}: {:?}", tree.display(), fs::read_dir(&tree).map(Iterator::count));
    let left = || -> Vec<String> { machine_snapshot().into_iter().filter(|line| line.contains(instance)).collect() };
    let limit = Instant::now() + PATIENCE;
    while left().iter().any(|line| line.starts_with("process: ")) && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(left().is_empty(), "left behind by {instance}: {:#?}", left());
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    json: Option<serde_json::Value>,
}

impl End {
    #[track_caller]
    fn json(&self) -> &serde_json::Value {
        self.json.as_ref().unwrap_or_else(|| panic!("no summary: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn status(&self) -> &str {
        self.json()["status"].as_str().unwrap()
    }

    #[track_caller]
    pub(crate) fn reason(&self) -> &str {
        self.json()["reason"].as_str().unwrap_or_default()
    }

    /// The last attempt at the step of this name.
    #[track_caller]
    pub(crate) fn step(&self, name: &str) -> Step<'_> {
        let steps = self.json()["steps"].as_array().unwrap();
        let row = steps.iter().rev().find(|step| step["name"] == name);
        Step(row.unwrap_or_else(|| panic!("no step {name}: {self:?}")))
    }

    /// How many attempts at the step of this name there were.
    #[track_caller]
    pub(crate) fn attempts(&self, name: &str) -> usize {
        self.json()["steps"].as_array().unwrap().iter().filter(|step| step["name"] == name).count()
    }

    /// Why each attempt at the step of this name ended.
    #[track_caller]
    pub(crate) fn reasons(&self, name: &str) -> Vec<&str> {
        let steps = self.json()["steps"].as_array().unwrap();
        steps
            .iter()
            .filter(|step| step["name"] == name)
            .map(|step| step["reason"].as_str().unwrap_or_default())
            .collect()
    }

    #[track_caller]
    pub(crate) fn artifacts(&self) -> Vec<&str> {
        self.json()["artifacts"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect()
    }

    /// The run failed for this reason, and said so by its exit code.
    #[track_caller]
    pub(crate) fn failed(&self, reason: &str) {
        assert_eq!((self.code, self.status()), (1, "failure"), "{self:?}");
        assert_eq!(self.reason(), reason, "{self:?}");
    }

    #[track_caller]
    pub(crate) fn succeeded(&self) {
        assert_eq!((self.code, self.status()), (0, "success"), "{self:?}");
    }
}

/// A step of the summary.
pub(crate) struct Step<'a>(&'a serde_json::Value);

impl Step<'_> {
    pub(crate) fn status(&self) -> &str {
        self.0["status"].as_str().unwrap()
    }

    pub(crate) fn branch(&self) -> &str {
        self.0["branch"].as_str().unwrap()
    }

    pub(crate) fn cause(&self) -> &str {
        self.0["cause"].as_str().unwrap_or_default()
    }

    pub(crate) fn reason(&self) -> &str {
        self.0["reason"].as_str().unwrap_or_default()
    }

    pub(crate) fn exit_code(&self) -> i64 {
        self.0["exit_code"].as_i64().unwrap()
    }
}
