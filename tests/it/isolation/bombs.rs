//! Steps that take all they can get: each ends with its reason named, and the job beside it goes on.
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use danube::executor::{CacheFill, CacheFilled, CacheMount, CachePlace, CacheRoot, Executor, Full, StepEnd, StepSpec};
use danube::model::JobId;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::executor::{Box, spec};
use crate::support::server::until;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_outside_the_workspace_counts() {
    let this = Box::start();
    let job = this.job_of(8 << 20).await;
    let at = this.at(job, 1);
    let place = CachePlace { id: "ab".repeat(16), paths: vec![CacheRoot::Own] };
    let fill = CacheFill { place: place.clone(), digest: None, at, user: None };
    assert_eq!(this.client.cache_restore(job, fill).await.unwrap(), CacheFilled::Empty);
    let mut filling = spec("head -c 33554432 /dev/zero > /root/.cache/full; sleep 600");
    filling.caches = vec![CacheMount { id: place.id, number: 0, to: "/root/.cache".to_owned() }];
    let (end, _) = this.run(at, filling).await;
    assert_eq!((end.full, end.exit_code), (Some(Full::Bytes), 137));
    this.client.teardown(job).await.unwrap();
}

/// Files whose space is taken while nothing leads to them any more.
const NAMELESS: [(&str, &str); 4] = [
    ("in the workspace", "exec 3> full; rm full; head -c 33554432 /dev/zero >&3; sleep 600"),
    ("in its root", "exec 3> /var/tmp/full; rm /var/tmp/full; head -c 33554432 /dev/zero >&3; sleep 600"),
    (
        "mapped",
        "exec python3 -c '
import ctypes, os, time
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
file = os.open(\"full\", os.O_RDWR | os.O_CREAT)
os.ftruncate(file, 32 << 20)
place = libc.mmap(None, ctypes.c_size_t(32 << 20), 3, 1, file, ctypes.c_long(0))
os.unlink(\"full\")
os.close(file)
ctypes.memset(place, 1, 32 << 20)
time.sleep(600)'",
    ),
    (
        "in the hands of a thread when the first one has ended",
        "exec python3 -c '
import ctypes, os, threading, time
def fill():
    time.sleep(0.5)
    file = os.open(\"full\", os.O_RDWR | os.O_CREAT)
    os.unlink(\"full\")
    for _ in range(32): os.write(file, bytes(1 << 20))
    time.sleep(600)
threading.Thread(target=fill).start()
ctypes.CDLL(None).syscall({\"x86_64\": 60, \"aarch64\": 93}[os.uname().machine], 0)'",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_name_any_more_counts_as_long_as_it_is_held() {
    let this = Box::start();
    for (name, command) in NAMELESS {
        let job = this.job_of(8 << 20).await;
        let (end, log) = this.sh(job, 1, command).await;
        assert_eq!((end.full, end.exit_code), (Some(Full::Bytes), 137), "{name}: {log}");
        this.client.teardown(job).await.unwrap();
    }
    // What is closed again takes nothing, and what is counted under its name is not counted twice.
    let job = this.job_of(48 << 20).await;
    let turns = "i=0; while [ $i -lt 10 ]; do i=$((i+1)); exec 3> big; head -c 33554432 /dev/zero >&3; rm big; exec 3>&-; sleep 0.1; done; \
                 head -c 33554432 /dev/zero > big; exec 3< big; sleep 2; echo held";
    let (end, log) = this.sh(job, 1, turns).await;
    assert!(end.full.is_none() && log == "held\n", "{end:?} {log}");
    this.client.teardown(job).await.unwrap();
}

/// The program that counts the files of a job, where one does so right now.
fn counting(job: JobId) -> Option<Pid> {
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let line = String::from_utf8(std::fs::read(entry.path().join("cmdline")).ok()?).ok()?;
        (line.starts_with("/usr/bin/du") && line.contains(&job.to_string())).then_some(pid)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_files_take_long_to_be_counted_keeps_no_other_from_being_ended() {
    let this = Box::start();
    let (slow, other) = (this.job_of(64 << 20).await, this.job_of(8 << 20).await);
    let many = "mkdir many; cd many; seq 5000 | xargs touch; touch ../made; sleep 600";
    this.begin(this.at(slow, 1), spec(many)).await.unwrap();
    let made = this.dir.path().join(format!("executor/jobs/{slow}/workspace/made"));
    until("the files are made", || made.exists().then_some(()));
    // Its files are counted where the disk's room gets less; caught in that, the count stands still.
    let mut room = 0;
    let stopped = until("the files are counted", || {
        std::fs::write(this.dir.path().join(format!("room-{room}")), vec![1; 72 << 20]).unwrap();
        room += 1;
        let end = Instant::now() + Duration::from_secs(2);
        let mut found = None;
        while found.is_none() && Instant::now() < end {
            found = counting(slow).filter(|pid| kill_process(*pid, Signal::STOP).is_ok());
        }
        found.filter(|pid| counting(slow) == Some(*pid))
    });
    let (end, _) = this.sh(other, 1, "head -c 33554432 /dev/zero > full; sleep 600").await;
    let still = counting(slow);
    let _ended = kill_process(stopped, Signal::KILL);
    assert_eq!(end.full, Some(Full::Bytes));
    assert_eq!(still, Some(stopped), "the other job was ended while this one was being counted");
    for job in [slow, other] {
        this.client.teardown(job).await.unwrap();
    }
}
