//! The runtime and the supervisor fail too: they hang, are stopped, or are killed.
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use danube::executor::{Executor, Signal, StepAt, StepState};
use rustix::process::{Pid, Signal as Kernel, kill_process};

use super::{cgroups, nothing_lives, processes};
use crate::support::executor::{Box, spec};

/// Ten seconds and more pass before what does not end is ended otherwise.
const LONG: Duration = Duration::from_secs(120);

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, looking).await.unwrap_or_else(|_| panic!("not within {LONG:?}: {what}"))
}

/// A process with this word among its own.
fn process(program: &str, word: &str) -> Option<Pid> {
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let named = line.split('\0').next()?.ends_with(program) && line.split('\0').any(|one| one == word);
        named.then(|| Pid::from_raw(pid))?
    })
}

/// The cgroup of an attempt, made before its container and frozen: whatever is put there stands still.
fn frozen(this: &Box, at: StepAt) -> PathBuf {
    let instance = this.run.file_name().unwrap().to_string_lossy().into_owned();
    let below = format!("danube-{instance}/{}/{}.{}", at.job, at.step, at.attempt);
    let (dir, file, word) = match fs::exists("/sys/fs/cgroup/freezer").unwrap() {
        true => (PathBuf::from("/sys/fs/cgroup/freezer").join(below), "freezer.state", "FROZEN"),
        false => (PathBuf::from("/sys/fs/cgroup").join(below), "cgroup.freeze", "1"),
    };
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(file), word).unwrap();
    dir
}

/// A start in which the runtime hangs: its container does not go on, and then it does not either.
async fn hanging(this: &Box, at: StepAt) -> Pid {
    frozen(this, at);
    this.begin(at, spec("echo never")).await.unwrap();
    let instance = this.run.file_name().unwrap().to_string_lossy().into_owned();
    let job = at.job;
    let name = format!("danube-{instance}-{job}-{}.{}", at.step, at.attempt);
    let crun = until("the runtime starts the container", || process("crun", &name)).await;
    until("it has put something there", || (!processes(&job.to_string()).is_empty()).then_some(())).await;
    kill_process(crun, Kernel::STOP).unwrap();
    crun
}

#[tokio::test]
async fn a_runtime_that_hangs_is_ended_with_its_step() {
    let this = Box::start();
    let job = this.job().await;
    let at = this.at(job, 1);
    hanging(&this, at).await;
    this.client.signal(at, Signal::Kill).await.unwrap();
    let (end, log) = this.end(at).await;
    assert!(end.error.is_some() && log.is_empty(), "{end:?} {log}");
    nothing_lives(&job.to_string());
    let (end, log) = this.sh(job, 2, "echo the next").await;
    assert_eq!((end.exit_code, log.as_str()), (0, "the next\n"));
    this.client.teardown(job).await.unwrap();
    assert_eq!(cgroups(&job.to_string()), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn a_runtime_that_hangs_is_ended_with_its_job() {
    let this = Box::start();
    let job = this.job().await;
    hanging(&this, this.at(job, 1)).await;
    this.client.teardown(job).await.unwrap();
    nothing_lives(&job.to_string());
    assert_eq!(cgroups(&job.to_string()), [] as [PathBuf; 0]);
    assert!(this.client.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_runtime_that_is_killed_leaves_nothing_of_what_it_began() {
    let this = Box::start();
    let job = this.job().await;
    let at = this.at(job, 1);
    let crun = hanging(&this, at).await;
    kill_process(crun, Kernel::KILL).unwrap();
    let (end, _) = this.end(at).await;
    assert!(end.error.unwrap().contains("could not be started"));
    nothing_lives(&job.to_string());
    this.client.teardown(job).await.unwrap();
}

/// The supervisor of an attempt that runs.
async fn supervisor(this: &Box, at: StepAt) -> Pid {
    let command = "trap '' TERM; setsid sh -c 'while :; do sleep 1; done' & echo up; while :; do sleep 1; done";
    this.begin(at, spec(command)).await.unwrap();
    until("the step runs", || this.log(at).contains("up").then_some(())).await;
    let records = this.dir.path().join("executor/jobs").join(at.job.to_string()).join("steps");
    let started = fs::read(records.join(format!("{}.{}", at.step, at.attempt)).join("rec/started")).unwrap();
    let started: serde_json::Value = serde_json::from_slice(&started).unwrap();
    Pid::from_raw(i32::try_from(started["pid"].as_i64().unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn a_supervisor_that_is_killed_takes_its_step_with_it_and_the_loss_is_told_then() {
    let this = Box::start();
    let job = this.job().await;
    let at = this.at(job, 1);
    let shim = supervisor(&this, at).await;
    kill_process(shim, Kernel::KILL).unwrap();
    assert_eq!(this.client.observe(at).await.unwrap(), StepState::Lost);
    nothing_lives(&job.to_string());
    this.client.teardown(job).await.unwrap();
}

#[tokio::test]
async fn a_supervisor_that_is_stopped_does_not_keep_its_step() {
    let this = Box::start();
    let job = this.job().await;
    let at = this.at(job, 1);
    let shim = supervisor(&this, at).await;
    kill_process(shim, Kernel::STOP).unwrap();
    this.client.signal(at, Signal::Kill).await.unwrap();
    assert_eq!(this.client.observe(at).await.unwrap(), StepState::Lost);
    nothing_lives(&job.to_string());
    this.client.teardown(job).await.unwrap();
    assert_eq!(cgroups(&job.to_string()), [] as [PathBuf; 0]);
}
