//! Random lives of a queue, told by a seed: masters that come and go, clocks that jump, late writes
//! of the dead. After every event the invariants are checked on what is stored.
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::tests::new_job;
use super::*;
use crate::model::job::{Event, Status};
use crate::model::settings::Pipeline;
use crate::model::{JobId, LeaseId, Principal};
use crate::store::job_list::{self, Filter};
use crate::store::testing::{TestStore, empty, pipeline, settings};
use crate::store::{JobRow, jobs};

const SEEDS: u64 = 200;
const THREADS: u64 = 8;
const EVENTS: usize = 40;
const LIMITS: Limits = Limits { max_running: 3 };

/// SplitMix64: the whole of the test's chance.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((z ^ (z >> 31)) >> 16) as usize) % sides
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        if of.is_empty() { None } else { Some(of[self.roll(of.len())]) }
    }
}

struct World {
    test: TestStore,
    pipelines: Vec<Pipeline>,
    /// Leases of the living master.
    held: Vec<Lease>,
    /// Leases that dead masters believe in still.
    stale: Vec<Lease>,
    accepted: Vec<JobId>,
    fences: HashMap<JobId, LeaseId>,
    before: HashMap<JobId, JobRow>,
    masters: usize,
}

impl World {
    async fn new(seed: u64) -> Self {
        let (mut deploy, mut ci) = (pipeline("deploy", "web"), pipeline("ci", "web"));
        deploy.concurrency.group = Some("deploy".into());
        ci.concurrency.group = Some("ci-{branch}".into());
        ci.concurrency.cancel_superseded = true;
        let mut slow = pipeline("slow", "ops");
        slow.concurrency.max_running = Some(2);
        slow.attempts = 2;
        let pipelines = vec![deploy, ci, slow];
        let test = empty(seed);
        test.apply(settings(pipelines.clone()), "c0ffee").await;
        Self {
            test,
            pipelines,
            held: vec![],
            stale: vec![],
            accepted: vec![],
            fences: HashMap::new(),
            before: HashMap::new(),
            masters: 1,
        }
    }

    async fn event(&mut self, dice: &mut Dice) {
        let store = self.test.store.clone();
        let lease = dice.pick(&self.held);
        match (dice.roll(14), lease) {
            (0..=3, _) => {
                let pipeline = &self.pipelines[dice.roll(3)];
                let mut new = new_job(&self.test, pipeline).await;
                new.revision.branch = ["main", "next"][dice.roll(2)].into();
                new.dedupe_key = (dice.roll(3) == 0).then(|| format!("{}:{}", pipeline.name, dice.roll(4)));
                let made = enqueue(&store, new).await.unwrap();
                assert_eq!(made.new, !self.accepted.contains(&made.id), "a known key makes no second job");
                if made.new {
                    self.accepted.push(made.id);
                }
            }
            (4..=6, _) => self.claim().await,
            (7, Some(lease)) => {
                let events = [Event::Exited { code: 0 }, Event::Exited { code: 7 }, Event::Stopped, Event::Rejected];
                let status = finish(&store, lease, events[dice.roll(4)].clone(), None).await.unwrap();
                assert!(status.is_terminal());
                self.held.retain(|l| *l != lease);
                self.stale.push(lease);
            }
            (8, Some(lease)) => {
                lost(&store, lease, "lost".into()).await.unwrap();
                self.held.retain(|l| *l != lease);
                self.stale.push(lease);
            }
            (9, Some(lease)) => match dice.roll(3) {
                0 => park(&store, lease, "waits".into()).await.unwrap(),
                1 => unpark(&store, lease).await.unwrap(),
                _ => renew(&store, lease).await.unwrap(),
            },
            (10, _) => {
                if let Some(job) = dice.pick(&self.accepted) {
                    cancel(&store, job, Principal::LocalAdmin).await.unwrap();
                }
            }
            (11, _) => self.test.clock.advance(Duration::from_secs([1, 90, 3600, 86_400][dice.roll(4)])),
            (12, _) => self.restart().await,
            _ => self.late_write(dice).await,
        }
    }

    async fn claim(&mut self) {
        let running = self.before.values().filter(|j| j.status == Status::Running && j.parked_since.is_none()).count();
        let owner = format!("m{}", self.masters);
        if let Some(claimed) = claim(&self.test.store, &owner, LIMITS).await.unwrap() {
            assert!(running < 3, "a job was claimed beyond the limit");
            let fresh = self.fences.insert(claimed.job.id, claimed.lease.id);
            assert_ne!(fresh, Some(claimed.lease.id), "a lease was used twice");
            self.held.push(claimed.lease);
        }
    }

    /// The master dies; the next one takes over what was running. The dead one may still write.
    async fn restart(&mut self) {
        self.stale.append(&mut self.held);
        self.masters += 1;
        for claimed in adopt(&self.test.store, &format!("m{}", self.masters)).await.unwrap() {
            self.fences.insert(claimed.job.id, claimed.lease.id);
            self.held.push(claimed.lease);
        }
    }

    async fn late_write(&mut self, dice: &mut Dice) {
        let Some(lease) = dice.pick(&self.stale) else { return };
        let store = &self.test.store;
        let refused = match dice.roll(4) {
            0 => renew(store, lease).await,
            1 => finish(store, lease, Event::Exited { code: 0 }, None).await.map(drop),
            2 => lost(store, lease, "late".into()).await.map(drop),
            _ => park(store, lease, "late".into()).await,
        };
        assert!(
            matches!(refused, Err(QueueError::LeaseLost { .. } | QueueError::AlreadyTerminal { .. })),
            "a late write was taken: {refused:?}"
        );
        assert_eq!(self.stored().await, self.before, "a refused write changed something");
    }

    async fn stored(&self) -> HashMap<JobId, JobRow> {
        let filter = Filter { limit: 200, ..Filter::default() };
        let rows = self.test.store.read(move |v| job_list::page(v, &filter)).await.unwrap();
        rows.into_iter().map(|row| (row.id, row)).collect()
    }

    async fn check(&mut self) {
        let now = self.stored().await;
        let known: HashSet<_> = now.keys().copied().collect();
        assert_eq!(known, self.accepted.iter().copied().collect(), "an accepted job is lost, or one came from nothing");
        let mut groups = HashSet::new();
        for job in now.values() {
            assert!(job.attempt <= job.max_attempts);
            if job.status == Status::Running {
                assert_eq!(job.lease_id, self.fences.get(&job.id).copied(), "running under a lease nobody was given");
                if let Some(group) = &job.group_key {
                    assert!(groups.insert(group.clone()), "two jobs of the group {group} run");
                }
            }
            let Some(old) = self.before.get(&job.id) else { continue };
            assert!(job.attempt >= old.attempt);
            if old.status.is_terminal() {
                assert_eq!(job, old, "a finished job changed");
            }
            let edge = (old.status, job.status);
            let allowed = matches!(edge, (Status::Pending, Status::Running | Status::Cancelled))
                || matches!(edge, (Status::Running, next) if next != Status::Running)
                || edge.0 == edge.1;
            assert!(allowed, "no such transition: {edge:?}");
        }
        self.before = now;
    }

    /// However it went, a living master brings every job to its end.
    async fn drain(&mut self) {
        self.restart().await;
        while self.before.values().any(|job| !job.status.is_terminal()) {
            while let Some(lease) = self.held.pop() {
                finish(&self.test.store, lease, Event::Exited { code: 0 }, None).await.unwrap();
            }
            self.check().await;
            self.test.clock.advance(Duration::from_secs(86_400));
            for _ in 0..3 {
                self.claim().await;
                self.check().await;
            }
            let waiting = self.before.values().any(|job| job.status == Status::Pending);
            assert!(!waiting || !self.held.is_empty(), "jobs wait, slots are free, and nothing starts");
        }
        assert!(self.test.store.read(jobs::running).await.unwrap().is_empty());
    }
}

async fn live(seed: u64) {
    let mut world = World::new(seed).await;
    let mut dice = Dice(seed);
    for _ in 0..EVENTS {
        world.event(&mut dice).await;
        world.check().await;
    }
    world.drain().await;
}

/// Prints the seed of a life that went wrong; `live(seed)` repeats it.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the simulation failed with seed {}", self.0);
        }
    }
}

#[test]
fn no_life_of_the_queue_breaks_its_invariants() {
    // Lives wait for the disk most of the time, so a few are lived side by side.
    std::thread::scope(|scope| {
        for first in 0..THREADS {
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for seed in (first..SEEDS).step_by(THREADS as usize) {
                    let _printed_on_failure = Seed(seed);
                    runtime.block_on(live(seed));
                }
            });
        }
    });
}
