//! Networks of jobs: a namespace that the job's steps share, its filter, its link to the world, and sockets in it.
//!
//! What lasts is the kernel's and below `net/` of the runtime directory: `<job>.open` and `<job>.quiet` lead to
//! namespaces, `<job>.link` holds the number of a link that was begun, `<job>.up` stands when it is whole. A restarted
//! executor reads that and has nothing to do.

mod address;
mod forward;
mod host;
mod rules;
mod services;
mod sockets;
mod space;
mod tools;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use address::Pool;
pub(super) use address::not_public;
pub use rules::TABLE;

use super::job::{io_error, make_dir};
use super::{Local, uids};
use crate::executor::{ExecutorError, Space};
use crate::model::JobId;

/// The most addresses of one request.
const AT_ONCE: usize = 64;
/// For how long a name's addresses may be spoken to, in seconds.
const TIMES: std::ops::RangeInclusive<u32> = 30..=24 * 3600;

/// What of the networks lives in this process; none of it is the only copy of anything.
pub(super) struct Nets {
    /// Why there is no network here; none: there is.
    pub(super) missing: Option<String>,
    /// What of this machine keeps jobs from reaching anybody, as far as it shows at the start.
    pub(super) in_the_way: Vec<String>,
    sockets: sockets::Kept,
    /// Until when addresses are allowed: most answers need no new rule.
    allowed: Mutex<HashMap<JobId, HashMap<Ipv4Addr, Instant>>>,
    /// One verb on a job's network at a time.
    locks: Mutex<HashMap<JobId, Arc<Mutex<()>>>>,
    /// One change of the machine's side at a time.
    host: Mutex<()>,
}

impl Nets {
    /// Looks for what networks need here, and for what would stand in their way.
    pub(super) fn probe(rootless: bool, pool: Pool) -> Self {
        let missing = match rootless {
            true => Some("only an executor of root's makes networks".to_owned()),
            false => tools::missing(),
        };
        let in_the_way = match missing {
            Some(_) => Vec::new(),
            None => forward::dropping().into_iter().chain(host::collision(pool)).collect(),
        };
        Self {
            missing,
            in_the_way,
            sockets: sockets::Kept::default(),
            allowed: Mutex::default(),
            locks: Mutex::default(),
            host: Mutex::default(),
        }
    }

    fn lock_of(&self, job: JobId) -> Arc<Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry(job).or_default())
    }
}

impl Local {
    /// Where a job's network of a kind has its name.
    pub(super) fn space(&self, job: JobId, space: &Space) -> PathBuf {
        self.layout.nets().join(match space {
            Space::Open => format!("{job}.open"),
            Space::Quiet => format!("{job}.quiet"),
            Space::Service(number) => format!("{job}.s{number}"),
        })
    }

    /// The network of a job, where it was made.
    pub(super) fn netns(&self, job: JobId, space: &Space) -> Option<PathBuf> {
        Some(self.space(job, space)).filter(|name| space::stands(name))
    }

    /// Makes a job's network, without a link, unless it stands.
    fn ensure_space(&self, job: JobId, space: &Space) -> Result<PathBuf, ExecutorError> {
        if let Some(reason) = &self.nets.missing {
            return Err(ExecutorError::PolicyDenied(format!("a network for steps: {reason}")));
        }
        if !self.layout.job(job).exists() || self.layout.kept(job).exists() {
            return Err(ExecutorError::Lost(format!("job {job} has no workspace on this machine")));
        }
        let name = self.space(job, space);
        let made = make_dir(&self.layout.nets(), 0o711).and_then(|()| {
            crate::platform::fault::around("executor.net", || {
                space::make(&name, || {
                    tools::quiet_ipv6()?;
                    tools::ip("link set lo up\n")?;
                    tools::nft(&rules::inside())
                })
            })
        });
        made.map_err(|e| io_error("make the job's network", &e))?;
        Ok(name)
    }

    /// Makes a job's open network and, where that is asked for, its link to the world; well where they stand.
    pub fn connect(&self, job: JobId, linked: bool) -> Result<(), ExecutorError> {
        let lock = self.nets.lock_of(job);
        let _one = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let space = self.ensure_space(job, &Space::Open)?;
        if !linked {
            return Ok(());
        }
        let number = uids::number(self.users_of(job)?.base);
        self.link(job, number, &space).map_err(|e| io_error("link the job's network", &e))
    }

    /// Lets a job speak to addresses for some seconds; in force when it answers. Refuses all where one is not for jobs.
    pub fn allow(&self, job: JobId, addresses: &[Ipv4Addr], seconds: u32) -> Result<(), ExecutorError> {
        if addresses.len() > AT_ONCE {
            return Err(ExecutorError::PolicyDenied(format!("{} addresses at once", addresses.len())));
        }
        let own = host::addresses().map_err(|e| io_error("read the machine's addresses", &e))?;
        for address in addresses {
            if let Some(why) = self.policy.refuses(*address, &own) {
                return Err(ExecutorError::PolicyDenied(format!("{address} is {why}")));
            }
        }
        let seconds = seconds.clamp(*TIMES.start(), *TIMES.end());
        // What is noted is what the kernel has, and no note outlives the job's network.
        let lock = self.nets.lock_of(job);
        let _one = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(space) = self.netns(job, &Space::Open) else {
            return Err(ExecutorError::Lost(format!("job {job} has no network on this machine")));
        };
        let now = Instant::now();
        let until = now + Duration::from_secs(u64::from(seconds));
        let mut allowed = self.nets.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        let of_job = allowed.entry(job).or_default();
        of_job.retain(|_, until| *until > now);
        let fresh: Vec<Ipv4Addr> = addresses
            .iter()
            .filter(|address| of_job.get(address).is_none_or(|known| *known < until))
            .copied()
            .collect();
        drop(allowed);
        if fresh.is_empty() {
            return Ok(());
        }
        let text = rules::allow(&fresh, seconds);
        // An element whose time ends between the lines fails the transaction: once more, it is gone.
        let added = space::inside(&space, || tools::nft(&text).or_else(|_| tools::nft(&text)));
        added.map_err(|e| io_error("allow an address", &e))?;
        let mut allowed = self.nets.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        allowed.entry(job).or_default().extend(fresh.into_iter().map(|address| (address, until)));
        Ok(())
    }

    /// Removes everything of a job's networks.
    pub(super) fn disconnect(&self, job: JobId) -> std::io::Result<()> {
        let lock = self.nets.lock_of(job);
        let _one = lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.nets.sockets.forget(job);
        self.nets.allowed.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
        self.unlink(job)?;
        for name in self.names_of(job) {
            space::remove(&name)?;
        }
        Ok(())
    }

    /// The files of a job's networks.
    fn names_of(&self, job: JobId) -> Vec<PathBuf> {
        let prefix = format!("{job}.");
        let entries = std::fs::read_dir(self.layout.nets()).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| is_of(path, &prefix)).collect()
    }

    /// The jobs that have a network here.
    pub(super) fn connected(&self) -> Vec<JobId> {
        let entries = std::fs::read_dir(self.layout.nets()).into_iter().flatten().flatten();
        let jobs = entries.filter_map(|entry| entry.file_name().to_str()?.split_once('.')?.0.parse().ok());
        let mut jobs: Vec<JobId> = jobs.collect();
        jobs.sort_unstable();
        jobs.dedup();
        jobs
    }
}

fn is_of(path: &std::path::Path, prefix: &str) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(prefix))
}
