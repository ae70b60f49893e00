//! The escape suite: what hostile code tries from inside a step, and which protection keeps it from succeeding.
//!
//! Every line of the table runs twice: as a step of anybody, where it must be refused, and on an executor that was
//! started without the protections that the line names, where it must succeed. So each protection is seen to be one.
mod apart;
mod attempts;
mod bombs;
mod caps;
mod many;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use attempts::{ATTEMPTS, Attempt};
use danube::executor::local::Protections;
use danube::executor::{Executor, StepEnd, StepSpec};
use danube::model::JobId;

use super::support::executor::{Box, spec};

const PROBE: &str = include_str!("isolation/probe.py");

/// Executors at once: each has steps of its own, and the machine has other work.
const AT_ONCE: usize = 3;

/// What there is on the machine to be reached, gone when dropped.
struct Machine {
    dir: tempfile::TempDir,
    port: TcpListener,
    _daemon: UnixListener,
    _abstract: UnixListener,
    abstract_name: String,
    shm: String,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("it-").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.path().join("file"), "of the machine").unwrap();
        let daemon = UnixListener::bind(dir.path().join("daemon.sock")).unwrap();
        fs::set_permissions(dir.path().join("daemon.sock"), fs::Permissions::from_mode(0o666)).unwrap();
        let abstract_name = format!("it-{}", dir.path().file_name().unwrap().to_string_lossy());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let made = Command::new("ipcmk").args(["-M", "4096"]).output().unwrap();
        let said = String::from_utf8(made.stdout).unwrap();
        Self {
            dir,
            port: TcpListener::bind("127.0.0.1:0").unwrap(),
            _daemon: daemon,
            _abstract: UnixListener::bind_addr(&address).unwrap(),
            abstract_name,
            shm: said.split_whitespace().last().unwrap().to_owned(),
        }
    }

    /// What an attempt is told of the machine.
    fn facts(&self, this: &Box, other: JobId) -> Vec<(String, String)> {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        [
            ("PID", std::process::id().to_string()),
            ("PORT", self.port.local_addr().unwrap().port().to_string()),
            ("ABSTRACT", self.abstract_name.clone()),
            ("FILE", path("file")),
            ("DAEMON", path("daemon.sock")),
            ("EXECUTOR", this.run.join("executor.sock").display().to_string()),
            ("OTHER", workspace(this, other).display().to_string()),
            ("NAME", fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()),
            ("SHM", self.shm.clone()),
            ("TOKEN", "a-value-of-the-frame".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _removed = Command::new("ipcrm").args(["-m", &self.shm]).status();
    }
}

fn workspace(this: &Box, job: JobId) -> PathBuf {
    this.dir.path().join("executor/jobs").join(job.to_string()).join("workspace")
}

/// Runs the attempts on an executor without the named protections; what each came to.
async fn run(
    machine: &Machine,
    attempts: &[&'static Attempt],
    off: &[&str],
) -> Vec<(&'static Attempt, StepEnd, String)> {
    let switches = off.iter().flat_map(|name| ["--without", name]);
    let more: Vec<&str> =
        if off.is_empty() { Vec::new() } else { ["--for-tests"].into_iter().chain(switches).collect() };
    let this = Box::with(&more);
    let (job, other) = (this.job().await, this.job().await);
    this.sh(other, 1, "printf 'of another' > open; (umask 077; printf 'of another' > private)").await;
    let facts = machine.facts(&this, other);
    let (alone, together): (Vec<_>, Vec<_>) =
        attempts.iter().filter(|one| Path::new(one.needs).exists()).partition(|one| one.alone || one.code.is_empty());
    let mut results = Vec::new();
    if !together.is_empty() {
        let (end, log) = this.run(this.at(job, 1), probing(&facts, &together)).await;
        results.extend(together.into_iter().map(|one| (*one, end.clone(), said(one, &log))));
    }
    for (step, one) in (2..).zip(alone) {
        let (end, log) = match one.code {
            "" => exported(&this, machine, job, step, off).await,
            _ => this.run(this.at(job, step), probing(&facts, &[one])).await,
        };
        results.push((*one, end, log));
    }
    for job in [job, other] {
        this.client.teardown(job).await.expect("whatever was tried, the job can be removed");
    }
    results
}

fn probing(facts: &[(String, String)], attempts: &[&&'static Attempt]) -> StepSpec {
    let mut step = spec("exec python3 -c \"$PROBE\"");
    let table: Vec<(&str, &str)> = attempts.iter().map(|one| (one.name, one.code)).collect();
    step.env.extend(facts.iter().cloned());
    step.env.push(("PROBE".to_owned(), PROBE.to_owned()));
    step.env.push(("ATTEMPTS".to_owned(), serde_json::to_string(&table).unwrap()));
    if attempts.iter().any(|one| one.off.contains(&"cpu-limit")) {
        step.limits.cpu = 0.04;
    }
    step
}

/// The lines of a log that an attempt said.
fn said(attempt: &Attempt, log: &str) -> String {
    let own = log.lines().filter(|line| line.starts_with(&format!("{}: ", attempt.name)));
    own.collect::<Vec<_>>().join("\n")
}

/// A link to a file of the machine in the workspace, asked for as an artifact is.
async fn exported(this: &Box, machine: &Machine, job: JobId, step: u32, off: &[&str]) -> (StepEnd, String) {
    let file = machine.dir.path().join("file").display().to_string();
    let target = if off.is_empty() { file } else { format!("/host{file}") };
    let (end, _) = this.sh(job, step, &format!("ln -s {target} result")).await;
    let (mut reader, writer) = pipe();
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let exported = this.client.export(job, "result".into(), writer).await;
    let bytes = read.await.unwrap();
    let escaped = bytes.contains("of the machine");
    (end, if escaped { "ESCAPED".to_owned() } else { format!("refused: {exported:?}") })
}

fn pipe() -> (fs::File, fs::File) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    (reader.into(), writer.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_is_refused() {
    let machine = Machine::new();
    let all: Vec<&'static Attempt> = ATTEMPTS.iter().collect();
    let mut wrong = Vec::new();
    for (one, end, log) in run(&machine, &all, &[]).await {
        let named = match one.refusal {
            // The kernel ended it.
            "" => end.oom_kills > 0,
            words => words.split('|').any(|word| log.contains(word)),
        };
        if log.contains("ESCAPED") || !named {
            wrong.push(format!("{} (wanted {}): {end:?}: {log}", one.name, one.refusal));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_what_protects_from_it_every_attempt_succeeds() {
    let machine = Machine::new();
    let mut groups: BTreeMap<Vec<&str>, Vec<&'static Attempt>> = BTreeMap::new();
    for one in ATTEMPTS {
        let mut off = one.off.to_vec();
        off.sort_unstable();
        groups.entry(off).or_default().push(one);
    }
    let groups: Vec<_> = groups.into_iter().collect();
    let mut wrong = Vec::new();
    for some in groups.chunks(AT_ONCE) {
        let runs = some.iter().map(|(off, attempts)| run(&machine, attempts, off));
        for (one, end, log) in futures::future::join_all(runs).await.into_iter().flatten() {
            if !log.contains("ESCAPED") {
                wrong.push(format!("{} without {:?}: {end:?}: {log}", one.name, one.off));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_protection_is_shown_to_be_one() {
    let unused: Vec<&str> =
        Protections::names().filter(|name| !ATTEMPTS.iter().any(|one| one.off.contains(name))).collect();
    assert!(unused.is_empty(), "no line of the table turns these off: {unused:?}");
}

#[test]
fn only_an_executor_for_tests_takes_a_protection_away() {
    let dir = tempfile::tempdir().unwrap();
    let start = |args: &[&str]| {
        Command::new(super::support::danube())
            .args(["executor", "--master-uid", "0", "--root"])
            .arg(dir.path().join("root"))
            .arg("--run-dir")
            .arg(dir.path().join("run"))
            .args(args)
            .output()
            .unwrap()
    };
    for (args, why) in [
        (&["--without", "user-namespace"][..], "--for-tests"),
        (&["--for-tests", "--without", "nothing"], "there is no protection 'nothing'"),
    ] {
        let output = start(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{args:?}: {said}");
    }
    assert!(fs::metadata(dir.path()).unwrap().is_dir() && fs::read_dir(dir.path()).unwrap().next().is_none());
    assert_eq!(fs::metadata("/proc/self").unwrap().uid(), 0, "this suite takes root");
}

#[tokio::test]
async fn an_executor_without_a_protection_says_so() {
    let this = Box::with(&["--for-tests", "--without", "masked-paths"]);
    let probe = this.client.probe().await.unwrap();
    assert!(probe.not_enforced.iter().any(|line| line == "masked-paths: switched off for a test"), "{probe:?}");
}
