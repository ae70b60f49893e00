//! Steps that take all they can get: each ends with its reason named, and the job beside it goes on.
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use danube::executor::{Executor, Full, StepEnd, StepSpec};
use danube::model::JobId;

use crate::support::executor::{Box, spec};

/// How much longer a job may take beside a bomb than alone, by the best of several runs each.
const AT_MOST: f64 = 3.0;
/// How often the neighbour is timed.
const RUNS: u32 = 3;

/// What every bomb's workspace may hold; `LONG` makes the million files of the acceptance possible.
fn workspace_bytes() -> u64 {
    if std::env::var_os("DANUBE_LONG").is_some() { 7 << 30 } else { 64 << 20 }
}

struct Bomb {
    name: &'static str,
    command: &'static str,
    /// Its end names what it had too much of.
    named: fn(&StepEnd) -> bool,
}

const BOMBS: [Bomb; 5] = [
    Bomb {
        name: "fork",
        command: "exec python3 -c '
import os, time
end, refused = time.monotonic() + 2, False
while time.monotonic() < end or not refused:
    try:
        if os.fork() == 0:
            while True: pass
    except OSError: refused = True
os._exit(3)'",
        named: |end| end.pids_refused > 0 && end.exit_code == 3,
    },
    Bomb {
        name: "memory",
        command: "for i in 1 2 3; do python3 -c 'b = bytearray(1 << 30)'; done; exec python3 -c 'b = bytearray(1 << 30)'",
        named: |end| end.oom_kills > 0 && end.exit_code == 137,
    },
    Bomb {
        name: "disk",
        command: "rm -f full*; i=0; while :; do i=$((i+1)); head -c 16777216 /dev/zero > full$i; done",
        named: |end| end.full == Some(Full::Bytes) && end.exit_code == 137,
    },
    Bomb {
        name: "inodes",
        command: "exec python3 -c '
import os
for d in range(1000000):
    os.mkdir(f\"/tmp/{d}\")
    for f in range(1000): os.mknod(f\"/tmp/{d}/{f}\")'",
        named: |end| end.full == Some(Full::Files) && end.exit_code == 137,
    },
    Bomb { name: "output", command: "yes no end", named: |end| end.log_overflow && end.exit_code == 137 },
];

/// Some work on processors, files and processes.
const WORK: &str = "python3 -c '
n = 0
for i in range(1500000): n += i * i
'; i=0; while [ $i -lt 40 ]; do i=$((i+1)); cat /proc/self/status > file$i; done; rm file*";

async fn timed(this: &Box, job: JobId, steps: std::ops::Range<u32>) -> Duration {
    let mut best = Duration::MAX;
    for step in steps {
        let begun = Instant::now();
        let (end, log) = this.sh(job, step, WORK).await;
        assert_eq!(end.exit_code, 0, "{log}");
        best = best.min(begun.elapsed());
    }
    best
}

fn bombing(bomb: &Bomb) -> StepSpec {
    let mut step = spec(bomb.command);
    step.log_limit = 1 << 20;
    step
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_beside_a_bomb_goes_on_and_the_bomb_says_what_it_had_too_much_of() {
    let this = Box::start();
    let neighbour = this.job().await;
    let mut before = timed(&this, neighbour, 1..RUNS + 1).await;
    for (n, bomb) in (1..).zip(&BOMBS) {
        let job = this.job_of(workspace_bytes()).await;
        let over = AtomicBool::new(false);
        // One bomb after the other, until the neighbour has been timed.
        let bombs = async {
            for step in 1.. {
                let (end, log) = this.run(this.at(job, step), bombing(bomb)).await;
                assert!((bomb.named)(&end), "{}: {end:?} {}", bomb.name, &log[log.len().saturating_sub(500)..]);
                if over.load(Ordering::Relaxed) {
                    return step;
                }
            }
            0
        };
        let beside = async {
            let first = n * 100;
            let best = timed(&this, neighbour, first..first + RUNS).await;
            over.store(true, Ordering::Relaxed);
            best
        };
        let (bombs, beside) = tokio::join!(bombs, beside);
        this.client.teardown(job).await.unwrap();
        // Other work on the machine comes and goes: alone is what it was before and after, whichever was slower.
        let after = timed(&this, neighbour, n * 100 + RUNS..n * 100 + 2 * RUNS).await;
        let ratio = beside.as_secs_f64() / before.max(after).as_secs_f64();
        assert!(ratio <= AT_MOST, "beside {bombs} {} bombs it took {ratio:.1} times as long", bomb.name);
        before = after;
    }
    this.client.teardown(neighbour).await.unwrap();
    assert!(this.client.list().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_makes_room_in_a_full_workspace_is_let_do_that() {
    let this = Box::start();
    let job = this.job_of(8 << 20).await;
    let fill = "head -c 33554432 /dev/zero > full; sleep 600";
    let (end, _) = this.sh(job, 1, fill).await;
    assert_eq!((end.full, end.exit_code), (Some(Full::Bytes), 137));
    let (end, log) = this.sh(job, 2, "sleep 2.5; rm full; echo room").await;
    assert_eq!((end.full, end.exit_code, log.as_str()), (None, 0, "room\n"));
    // What was said of a step outlives the executor; the limit too.
    let mut this = this;
    this.restart();
    let (end, _) = this.end(this.at(job, 1)).await;
    assert_eq!(end.full, Some(Full::Bytes));
    let (end, _) = this.sh(job, 3, fill).await;
    assert_eq!(end.full, Some(Full::Bytes));
    this.client.teardown(job).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_of_a_step_counts_and_so_does_what_lies_in_memory() {
    let this = Box::start();
    let job = this.job_of(8 << 20).await;
    let (end, _) = this.sh(job, 1, "head -c 33554432 /dev/zero > /var/tmp/full; sleep 600").await;
    assert_eq!(end.full, Some(Full::Bytes), "its own root");
    // The file systems in memory are bounded, and what they hold is memory of the step.
    for (step, place) in [(2, "/dev/shm"), (3, "/danube/files"), (4, "/dev")] {
        let mut small = spec(&format!("head -c 1000000000 /dev/zero > {place}/full; stat -c %s {place}/full"));
        small.limits.memory_bytes = 128 << 20;
        let (end, log) = this.run(this.at(job, step), small).await;
        let size: u64 = log.lines().filter_map(|line| line.trim().parse().ok()).next_back().unwrap_or(0);
        assert!(end.full.is_none() && size <= 64 << 20, "{place}: {size} {end:?}");
    }
    let mut small = spec("head -c 60000000 /dev/zero > /dev/shm/full; echo held");
    small.limits.memory_bytes = 32 << 20;
    let (end, log) = this.run(this.at(job, 5), small).await;
    assert!(
        end.oom_kills > 0 && !(end.exit_code == 0 && log.ends_with("held\n") && end.oom_kills == 0),
        "{end:?} {log}"
    );
    this.client.teardown(job).await.unwrap();
}
