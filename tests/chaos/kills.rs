//! One run of the pipeline while processes are killed at random moments.
//!
//! The coordinator is killed at most three times for the same length of the journal: that is how often it is started
//! again without a further call, and a job whose danubefile never gets further has to end.
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::picture::{Picture, nothing_left};
use crate::rng::Rng;
use crate::world::{LIMIT, World};

/// Doors of the pipeline: each opens after its share of the kills, so that no phase goes by undisturbed.
const DOORS: u64 = 4;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Master,
    Executor,
    Coordinator,
    Both,
    All,
}

const VICTIMS: [(u64, Victim); 5] =
    [(35, Victim::Master), (20, Victim::Executor), (25, Victim::Coordinator), (10, Victim::Both), (10, Victim::All)];

/// Deaths of a coordinator for which it is started again, where it makes no further call between them.
const RESTARTS: u32 = 3;

/// How often the coordinator died since the journal grew: one death more would be the job's end, rightly.
#[derive(Default)]
struct Patience {
    rows: u32,
    deaths: u32,
}

impl Patience {
    /// Whether one more death is within the limit; counts it.
    fn allows(&mut self, world: &World, job: &str) -> bool {
        let sql = "SELECT count(*) FROM journal WHERE job_id = ?1";
        let Ok(rows) = world.database().query_row(sql, [job], |row| row.get::<_, u32>(0)) else { return false };
        if rows > self.rows {
            *self = Self { rows, deaths: 0 };
        }
        self.deaths += 1;
        self.deaths <= RESTARTS
    }
}

/// How many of each were killed.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Tally {
    pub(crate) kills: u64,
    pub(crate) master: u64,
    pub(crate) executor: u64,
    pub(crate) coordinator: u64,
    pub(crate) several: u64,
    pub(crate) runs: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.master += other.master;
        self.executor += other.executor;
        self.coordinator += other.coordinator;
        self.several += other.several;
        self.runs += other.runs;
    }
}

/// Runs the pipeline with nothing killed.
pub(crate) fn undisturbed(world: &World, params: &str) -> Result<Picture, String> {
    let job = world.trigger(params)?;
    (1..=DOORS).for_each(|n| open(world, &job, n));
    ended(world, &job)?;
    let picture = Picture::of(world, &job)?;
    nothing_left(world, &job)?;
    if picture.succeeded() { Ok(picture) } else { Err(format!("the undisturbed run did not succeed: {picture:#?}")) }
}

/// Lets the pipeline through a door.
pub(crate) fn open(world: &World, job: &str, door: u64) {
    fs::write(world.path("ledger").join(format!("open-{job}-{door}")), "").expect("a door opens");
}

/// Waits for a job's end and its record, whoever is alive just now.
pub(crate) fn ended(world: &World, job: &str) -> Result<(), String> {
    crate::world::until("the job has ended and has its record", || over(world, job).then_some(())).map_err(|error| {
        let shown = world.get(&format!("/api/v1/jobs/{job}")).map(|reply| reply.text()).unwrap_or_default();
        format!("{error}: {shown}")
    })
}

/// Whether a job has ended and has its record.
pub(crate) fn over(world: &World, job: &str) -> bool {
    let sql = "SELECT (SELECT count(*) FROM attestations WHERE job_id = ?1) * (SELECT count(finished_at) FROM jobs \
               WHERE id = ?1)";
    world.database().query_row(sql, [job], |row| row.get::<_, u32>(0)).is_ok_and(|n| n > 0)
}

/// One run with at least `kills` kills, which goes on being disturbed until its record is signed.
pub(crate) fn round(world: &World, seed: u64, kills: u64, good: &Picture, params: &str) -> Result<Tally, String> {
    let mut rng = Rng::new(seed);
    let mut tally = Tally { runs: 1, ..Tally::default() };
    let job = world.trigger(params)?;
    let end = Instant::now() + LIMIT;
    let mut opened = 0;
    let mut patience = Patience::default();
    while !over(world, &job) || tally.kills < kills {
        while opened < DOORS && tally.kills >= (opened + 1) * kills / DOORS {
            opened += 1;
            open(world, &job, opened);
        }
        if Instant::now() > end {
            let shown = world.get(&format!("/api/v1/jobs/{job}")).map(|reply| reply.text()).unwrap_or_default();
            return Err(format!("job {job} does not end after {tally:?}: {shown}"));
        }
        // Mostly soon after the last one, now and then long enough for a few steps.
        let pause = if rng.within(0, 4) == 0 { rng.within(500, 1500) } else { rng.within(20, 500) };
        // Whoever is killed faster than it starts gets nowhere, and a busy machine starts slowly.
        let slower = 1 + tally.kills.saturating_sub(kills) / 5;
        std::thread::sleep(Duration::from_millis(pause * slower));
        let mut victim = rng.one_of(&VICTIMS);
        if matches!(victim, Victim::Coordinator | Victim::All) && !patience.allows(world, &job) {
            victim = Victim::Both;
        }
        kill(world, &job, victim, &mut rng, &mut tally);
    }
    let now = Picture::of(world, &job)?;
    if let Some(difference) = good.difference(&now) {
        return Err(format!("job {job} after {tally:?}: {difference}"));
    }
    nothing_left(world, &job)?;
    Ok(tally)
}

fn kill(world: &World, job: &str, victim: Victim, rng: &mut Rng, tally: &mut Tally) {
    let all = victim == Victim::All;
    let coordinator = (all || victim == Victim::Coordinator) && kill_coordinator(world, job, rng.within(0, 2) == 0);
    let executor = (all || matches!(victim, Victim::Executor | Victim::Both)) && world.executor().kill();
    let master = (all || matches!(victim, Victim::Master | Victim::Both)) && world.master().kill();
    let killed = u64::from(coordinator) + u64::from(executor) + u64::from(master);
    tally.kills += u64::from(killed > 0);
    tally.several += u64::from(killed > 1);
    tally.master += u64::from(master);
    tally.executor += u64::from(executor);
    tally.coordinator += u64::from(coordinator);
}

/// Kills the supervisor of the newest coordinator: nobody knows then how that one ends.
pub(crate) fn kill_supervisor(world: &World, job: &str) {
    let Some(newest) = newest_coordinator(world, job) else { return };
    let record = world.tree().join("jobs").join(job).join(format!("steps/0.{newest}/rec/started"));
    let record: Option<serde_json::Value> = fs::read(record).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let pid = record.and_then(|record| i32::try_from(record["pid"].as_i64()?).ok());
    let is_shim =
        |pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(b"danube-shim\0step\0"));
    if let Some(pid) = pid.filter(is_shim).and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _gone = kill_process(pid, Signal::KILL);
    }
}

fn newest_coordinator(world: &World, job: &str) -> Option<u32> {
    let steps = world.tree().join("jobs").join(job).join("steps");
    let attempts = fs::read_dir(steps).into_iter().flatten().flatten();
    attempts.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("0.")?.parse::<u32>().ok()).max()
}

/// Kills the danubefile's process, or the first one of its container.
fn kill_coordinator(world: &World, job: &str, whole: bool) -> bool {
    let Some(first) = newest_coordinator(world, job).and_then(|n| world.container(job, &format!("0.{n}"))) else {
        return false;
    };
    let is_init =
        |pid: i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"/danube/init"));
    if !is_init(first) {
        return false;
    }
    let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap_or_default();
    let child = children.split(' ').next().and_then(|pid| pid.parse().ok()).filter(|_| !whole);
    let pid = child.unwrap_or(first);
    Path::new("/proc").join(pid.to_string()).exists()
        && Pid::from_raw(pid).is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
}
