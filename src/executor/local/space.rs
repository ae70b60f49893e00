//! How much of the disk a job may take: its workspace, the roots of its steps, its caches outside the workspace, and
//! what its processes hold open without a name, together.
//!
//! The machine's own quotas are not relied on: about once a second the free space of the file system is compared with
//! what it was, and only where it fell by what the job could still use are the job's files counted. A job that has
//! more than it may, and still grows, has its steps ended; the mark beside each says why, whoever asks later.
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Local;
use super::measure::{Amount, measure};
use super::step::shim_lives;
use crate::executor::{Full, JobSpec, StepAt, inodes_of};
use crate::model::JobId;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Files are counted at least so often: what others set free meanwhile hides what a job took.
const AT_LEAST: Duration = Duration::from_secs(60);
/// Counting takes at most this part of the time, as long as little changes.
const SHARE: u32 = 20;
/// That much is little: this part of what the job may have.
const LITTLE: u64 = 8;
/// The longest that files are counted.
const PATIENCE: Duration = Duration::from_secs(30);
/// A job whose files can't be counted in that time, so often in a row, has too many.
const TIMEOUTS: u32 = 2;
/// Jobs whose files are counted at once: one that takes long keeps none of the others waiting.
const AT_ONCE: usize = 4;

/// What `ready` says of a job: it stands, and this is what it may take.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Ready {
    version: u32,
    bytes: u64,
    inodes: u64,
    /// What was free on the file system before there was any file of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    free: Option<Amount>,
}

impl Ready {
    pub(super) fn of(spec: &JobSpec, free: Option<Amount>) -> Self {
        Self { version: 1, bytes: spec.workspace_bytes, inodes: inodes_of(spec.workspace_bytes), free }
    }

    /// What an earlier release wrote bounds nothing.
    fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok().filter(|ready: &Self| ready.version == 1)
    }
}

/// What is known of a job's files.
#[derive(Debug, Clone, Copy)]
struct Known {
    used: Amount,
    /// What was free on the file system then.
    free: Amount,
    at: Instant,
    /// How long it took to count them.
    took: Duration,
}

impl Known {
    /// Whether the job may have more than `limit` by now.
    fn is_stale(&self, limit: Amount, free: Amount, now: Instant) -> bool {
        let gone = |before: u64, now: u64| before.saturating_sub(now);
        let left = |limit: u64, used: u64| limit.saturating_sub(used);
        gone(self.free.bytes, free.bytes) >= left(limit.bytes, self.used.bytes)
            || gone(self.free.inodes, free.inodes) >= left(limit.inodes, self.used.inodes)
            || now.saturating_duration_since(self.at) >= AT_LEAST
    }

    /// Whether it was counted a short while ago, and not much can have come since. A job that made counting slow by
    /// many files must not have the time meanwhile to fill the disk.
    fn rests(&self, limit: Amount, free: Amount, now: Instant) -> bool {
        let little = |before: u64, now: u64, limit: u64| before.saturating_sub(now) < limit / LITTLE;
        now.saturating_duration_since(self.at) < self.took * SHARE
            && little(self.free.bytes, free.bytes, limit.bytes)
            && little(self.free.inodes, free.inodes, limit.inodes)
    }
}

/// What is known of a job, and what is being found out.
#[derive(Default)]
struct Watched {
    known: Option<Known>,
    counting: bool,
    /// How often in a row counting took too long.
    timeouts: u32,
    /// That it can't be counted was told.
    told: bool,
}

impl Watched {
    fn is_due(&self, limit: Amount, free: Amount, now: Instant) -> bool {
        let rests = |known: Known| !known.is_stale(limit, free, now) || known.rests(limit, free, now);
        !self.counting && !self.known.is_some_and(rests)
    }

    /// Takes note of what was counted; what the job has too much of, where it has to be ended.
    fn learn(&mut self, counted: io::Result<Known>, limit: Amount) -> Option<Full> {
        let known = match counted {
            Ok(known) => known,
            // What was known stays, with what was free then: what the job took since is not forgiven.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                self.timeouts += 1;
                if self.timeouts < TIMEOUTS {
                    return None;
                }
                self.timeouts = 0;
                return Some(Full::Files);
            }
            Err(_) => return None,
        };
        (self.timeouts, self.told) = (0, false);
        let used = known.used;
        // A step that makes room is let do that.
        let last = self.known.replace(known).map(|known| known.used).unwrap_or_default();
        match () {
            () if used.bytes > limit.bytes && used.bytes > last.bytes => Some(Full::Bytes),
            () if used.inodes > limit.inodes && used.inodes > last.inodes => Some(Full::Files),
            () => None,
        }
    }
}

/// What is known of all jobs, shared with those who count.
#[derive(Clone, Default)]
struct Jobs(Arc<Mutex<HashMap<JobId, Watched>>>);

impl Jobs {
    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this job may be counted now; then it counts as being so.
    fn begin(&self, job: JobId) -> bool {
        let mut all = self.lock();
        if all.values().filter(|one| one.counting).count() >= AT_ONCE {
            return false;
        }
        all.entry(job).or_default().counting = true;
        true
    }
}

/// Looks after every job until the executor is gone.
pub(super) fn watch(local: &Arc<Local>) {
    let weak = Arc::downgrade(local);
    let work = move || {
        let jobs = Jobs::default();
        while let Some(local) = weak.upgrade() {
            local.look_after_space(&jobs);
            drop(local);
            std::thread::sleep(LOOK);
        }
    };
    let started = std::thread::Builder::new().name("space".to_owned()).stack_size(256 << 10).spawn(work);
    if let Err(error) = started {
        tracing::error!(%error, "nobody looks after the size of workspaces");
    }
}

impl Local {
    fn look_after_space(self: &Arc<Self>, jobs: &Jobs) {
        let standing = self.list().unwrap_or_default();
        jobs.lock().retain(|job, one| one.counting || standing.contains(job));
        let mut due = Vec::new();
        for job in standing {
            if self.living(job).is_empty() {
                continue;
            }
            let Some(ready) = Ready::read(&self.layout.ready(job)) else { continue };
            let Ok(now_free) = Amount::free(&self.layout.job(job)) else { continue };
            let limit = Amount { bytes: ready.bytes, inodes: ready.inodes };
            let (now, mut all) = (Instant::now(), jobs.lock());
            let one = all.entry(job).or_default();
            if let Some(free) = ready.free {
                // Nobody need count what began with nothing.
                one.known.get_or_insert(Known { used: Amount::default(), free, at: now, took: Duration::ZERO });
            }
            if one.is_due(limit, now_free, now) {
                due.push((one.known.map(|known| known.at), job, limit));
            }
        }
        // Who has waited longest comes first.
        due.sort_unstable_by_key(|(at, ..)| *at);
        for (_, job, limit) in due {
            if jobs.begin(job) {
                self.count_beside(jobs, job, limit);
            }
        }
    }

    fn living(&self, job: JobId) -> Vec<StepAt> {
        self.attempts(job).into_iter().filter(|at| shim_lives(&self.layout.step(*at))).collect()
    }

    /// Counts the files of a job, and ends its steps where they are too many, while others are looked at.
    fn count_beside(self: &Arc<Self>, jobs: &Jobs, job: JobId, limit: Amount) {
        let (this, shared) = (Arc::clone(self), jobs.clone());
        let work = move || {
            let counted = this.count(job);
            let failure = counted.as_ref().err().map(ToString::to_string);
            let (full, tell) = {
                let mut all = shared.lock();
                let one = all.entry(job).or_default();
                one.counting = false;
                let full = one.learn(counted, limit);
                (full, failure.is_some() && !std::mem::replace(&mut one.told, failure.is_some()))
            };
            if let Some(error) = failure.filter(|_| tell) {
                tracing::warn!(%job, error, "the files of a job could not be counted");
            }
            if let Some(full) = full {
                tracing::info!(%job, ?full, "a job has more files than it may");
                this.living(job).into_iter().for_each(|at| this.end_full(at, full));
            }
        };
        let started = std::thread::Builder::new().name("count".to_owned()).stack_size(256 << 10).spawn(work);
        if let Err(error) = started {
            tracing::warn!(%job, %error, "the files of a job could not be counted");
            jobs.lock().entry(job).or_default().counting = false;
        }
    }

    /// What a job takes by now.
    fn count(&self, job: JobId) -> io::Result<Known> {
        let begun = Instant::now();
        let free = Amount::free(&self.layout.job(job))?;
        let limit = begun + PATIENCE;
        let places = [self.layout.workspace(job), self.layout.roots(job), self.layout.job_caches(job)];
        let places: Vec<_> = places.into_iter().filter(|place| place.exists()).collect();
        let before = self.held(job, limit)?;
        let named = measure(&places, limit.saturating_duration_since(Instant::now()))?;
        // A file that loses its name while names are counted, or goes, is not counted twice.
        let nameless = before.least(self.held(job, limit)?);
        Ok(Known { used: named.and(nameless), free, at: Instant::now(), took: begun.elapsed() })
    }

    /// Ends an attempt and leaves word why: first the word, so that no end is without it.
    fn end_full(&self, at: StepAt, full: Full) {
        let written = serde_json::to_vec(&full)
            .map_err(std::io::Error::other)
            .and_then(|text| crate::platform::atomic::write("executor.full", &self.layout.full(at), &text, 0o600));
        if let Err(error) = written {
            tracing::warn!(attempt = %at, %error, "why a step is ended could not be noted");
        }
        self.kill_attempt(at);
    }

    /// Why an attempt was ended, where that was for its files.
    pub(super) fn was_full(&self, at: StepAt) -> Option<Full> {
        serde_json::from_slice(&fs::read(self.layout.full(at)).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Amount = Amount { bytes: 100, inodes: 10 };

    fn known(bytes: u64, inodes: u64) -> Known {
        let free = Amount { bytes: 1000, inodes: 1000 };
        Known { used: Amount { bytes, inodes }, free, at: Instant::now(), took: Duration::ZERO }
    }

    #[test]
    fn files_are_counted_only_where_the_job_could_have_filled_its_share() {
        let one = known(60, 5);
        let free = |bytes, inodes| Amount { bytes, inodes };
        let now = one.at;
        assert!(!one.is_stale(LIMIT, free(961, 996), now));
        assert!(one.is_stale(LIMIT, free(960, 1000), now), "40 bytes more would fill it");
        assert!(one.is_stale(LIMIT, free(1000, 995), now), "5 files more would fill it");
        assert!(!one.is_stale(LIMIT, free(2000, 2000), now), "others made room");
        assert!(one.is_stale(LIMIT, free(2000, 2000), now + AT_LEAST), "which may hide what it took");
    }

    #[test]
    fn counting_takes_a_small_part_of_the_time_unless_much_has_come() {
        let slow = Known { took: Duration::from_secs(2), ..known(99, 9) };
        let (soon, late) = (slow.at + Duration::from_secs(39), slow.at + Duration::from_secs(41));
        assert!(slow.rests(LIMIT, slow.free, soon) && !slow.rests(LIMIT, slow.free, late));
        let free = |bytes, inodes| Amount { bytes, inodes };
        assert!(!slow.rests(LIMIT, free(988, 1000), soon), "an eighth of what it may have is gone");
        assert!(!slow.rests(LIMIT, free(1000, 999), soon), "so it is of the files");
    }

    fn failed(kind: io::ErrorKind) -> io::Result<Known> {
        Err(kind.into())
    }

    #[test]
    fn what_could_not_be_counted_is_not_forgiven() {
        let mut one = Watched { known: Some(known(60, 5)), ..Watched::default() };
        let less = Amount { bytes: 960, inodes: 1000 };
        for kind in [io::ErrorKind::TimedOut, io::ErrorKind::Other] {
            assert_eq!(one.learn(failed(kind), LIMIT), None);
            assert!(one.is_due(LIMIT, less, Instant::now()), "what was free is still what was free before");
        }
        assert_eq!(one.learn(Ok(known(101, 5)), LIMIT), Some(Full::Bytes));
        assert_eq!(one.learn(Ok(known(101, 5)), LIMIT), None, "it does not grow");
    }

    #[test]
    fn who_takes_too_long_to_be_counted_twice_in_a_row_has_too_many_files() {
        let mut one = Watched::default();
        assert_eq!(one.learn(failed(io::ErrorKind::TimedOut), LIMIT), None);
        assert_eq!(one.learn(Ok(known(1, 1)), LIMIT), None);
        assert_eq!(one.learn(failed(io::ErrorKind::TimedOut), LIMIT), None, "not in a row");
        assert_eq!(one.learn(failed(io::ErrorKind::Other), LIMIT), None);
        assert_eq!(one.learn(failed(io::ErrorKind::TimedOut), LIMIT), Some(Full::Files));
        assert_eq!(one.learn(failed(io::ErrorKind::TimedOut), LIMIT), None, "the next step has its time too");
    }

    #[test]
    fn so_many_are_counted_at_once_and_none_of_them_twice() {
        let jobs = Jobs::default();
        let ids: Vec<JobId> =
            (0..=AT_ONCE).map(|n| format!("01a1fe6f-ae5a-778e-9642-e63d33687f{n:02}").parse().unwrap()).collect();
        assert!(ids[..AT_ONCE].iter().all(|job| jobs.begin(*job)) && !jobs.begin(ids[AT_ONCE]));
        assert!(!jobs.lock()[&ids[0]].is_due(LIMIT, Amount::default(), Instant::now()));
        jobs.lock().get_mut(&ids[0]).unwrap().counting = false;
        assert!(jobs.begin(ids[AT_ONCE]));
    }

    #[test]
    fn what_an_earlier_release_wrote_bounds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ready");
        fs::write(&path, "1\n").unwrap();
        assert!(Ready::read(&path).is_none());
        let job = "01a1fe6f-ae5a-778e-9642-e63d33687fe7".parse().unwrap();
        let ready = Ready::of(&JobSpec { job, workspace_bytes: 5 << 30, adopt: None }, None);
        fs::write(&path, serde_json::to_vec(&ready).unwrap()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), r#"{"version":1,"bytes":5368709120,"inodes":655360}"#);
        assert_eq!(Ready::read(&path).unwrap().inodes, 655_360);
    }
}
