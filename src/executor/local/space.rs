//! How much of the disk a job may take: its workspace and the roots of its steps together.
//!
//! The machine's own quotas are not relied on: about once a second the free space of the file system is compared with
//! what it was, and only where it fell by what the job could still use are the job's files counted. A job that has
//! more than it may, and still grows, has its steps ended; the mark beside each says why, whoever asks later.
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
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

/// Looks after every job until the executor is gone.
pub(super) fn watch(local: &Arc<Local>) {
    let weak = Arc::downgrade(local);
    let work = move || {
        let mut known = HashMap::new();
        while let Some(local) = weak.upgrade() {
            local.look_after_space(&mut known);
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
    fn look_after_space(&self, known: &mut HashMap<JobId, Known>) {
        let jobs = self.list().unwrap_or_default();
        known.retain(|job, _| jobs.contains(job));
        for job in jobs {
            let living: Vec<StepAt> =
                self.attempts(job).into_iter().filter(|at| shim_lives(&self.layout.step(*at))).collect();
            if living.is_empty() {
                continue;
            }
            let Some(ready) = Ready::read(&self.layout.ready(job)) else { continue };
            let limit = Amount { bytes: ready.bytes, inodes: ready.inodes };
            if let Some(free) = ready.free {
                // Nobody need count what began with nothing.
                let new = Known { used: Amount::default(), free, at: Instant::now(), took: Duration::ZERO };
                known.entry(job).or_insert(new);
            }
            if let Some(full) = self.fills(job, limit, known) {
                tracing::info!(%job, ?full, "a job has more files than it may");
                living.iter().for_each(|at| self.end_full(*at, full));
            }
        }
    }

    /// Counts the files of a job where that may be needed; whether they are more than it may have.
    fn fills(&self, job: JobId, limit: Amount, known: &mut HashMap<JobId, Known>) -> Option<Full> {
        let free = Amount::free(&self.layout.job(job)).ok()?;
        let now = Instant::now();
        let before = known.get(&job).copied();
        if before.is_some_and(|known| !known.is_stale(limit, free, now) || known.rests(limit, free, now)) {
            return None;
        }
        let places = [self.layout.workspace(job), self.layout.roots(job)];
        let used = match measure(&places, PATIENCE) {
            Ok(used) => used,
            Err(error) => {
                tracing::warn!(%job, %error, "the files of a job could not be counted");
                before.map(|known| known.used).unwrap_or_default()
            }
        };
        known.insert(job, Known { used, free, at: Instant::now(), took: now.elapsed() });
        // A step that makes room is let do that.
        let last = before.map(|known| known.used).unwrap_or_default();
        match () {
            () if used.bytes > limit.bytes && used.bytes > last.bytes => Some(Full::Bytes),
            () if used.inodes > limit.inodes && used.inodes > last.inodes => Some(Full::Files),
            () => None,
        }
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
