//! The embedded executor: OCI containers by crun, one per step attempt, on this machine.
//!
//! Everything it knows lies in its directories, so it may be killed at any time: `jobs/<id>/` holds
//! the workspace, the coordinator's checkout and `steps/<n>.<attempt>/` with the shim's records.
//! A plan (`plan`) is a plain value made by pure code; `crun` and the shim carry it out.

mod authorities;
mod bundle;
mod caches;
mod cgroup;
mod crun;
mod etc;
mod images;
mod job;
mod keep;
mod layout;
mod leftovers;
mod measure;
mod nameless;
mod net;
mod plan;
mod policy;
mod processes;
mod protections;
mod rootfs;
mod rootless;
mod roots;
mod seccomp;
mod space;
mod start;
mod step;
#[expect(unsafe_code, reason = "the one file of the executor with hooks between fork and exec and new namespaces")]
mod sys;
mod tools;
mod transfer;
mod uids;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

pub use bundle::{host_root, run_bundle};
pub use layout::Layout;
pub use net::{Pool, TABLE as EGRESS_TABLE};
pub use policy::Policy;
pub use protections::Protections;
pub use rootless::{Rootless, enter_own_namespace};
pub use start::{InstallOptions, StartError, install, write_sdk};

use super::spec::Probe;
use crate::model::JobId;

/// Held by the verb that has its turn.
type Lock = Arc<Mutex<()>>;

/// The embedded executor. Its methods block; each request has a thread.
pub struct Local {
    layout: Layout,
    policy: Policy,
    cgroups: cgroup::Cgroups,
    seccomp: String,
    roots: roots::Roots,
    protections: Protections,
    /// Who may put sockets into a job's socket directory.
    master_uid: u32,
    /// An ordinary user's: one user, no cgroups.
    rootless: bool,
    nets: net::Nets,
    /// The `/usr` of helpers; none: the machine's own.
    tools: Option<std::path::PathBuf>,
    /// One verb that makes or removes a job at a time, per job.
    locks: Mutex<HashMap<JobId, Lock>>,
    /// One verb that fills or stores a cache at a time, per cache of a job.
    cache_locks: Mutex<HashMap<(JobId, String), Lock>>,
    /// The same for layers of images.
    guards: images::Guards,
    /// Threads that remove what ended attempts left; a job's end waits for its own.
    clearing: Mutex<HashMap<JobId, Vec<JoinHandle<()>>>>,
}

impl Local {
    /// What can be had on this machine.
    pub fn probe(&self) -> Probe {
        Probe {
            kind: "local".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            not_enforced: self.not_enforced(),
            warnings: self.nets.in_the_way.clone(),
            networks: self.nets.missing.is_none(),
            host_image: self.policy.host_image,
            allow: self.policy.allow.clone(),
        }
    }

    fn not_enforced(&self) -> Vec<String> {
        let mut lines = match self.rootless {
            true => rootless::NOT_ENFORCED.map(str::to_owned).to_vec(),
            false => self.cgroups.not_enforced(),
        };
        lines.extend(self.protections.missing().into_iter().map(|name| format!("{name}: switched off for a test")));
        if let Some(reason) = &self.nets.missing {
            lines.push(format!("egress allowlist: steps have no network at all, because {reason}"));
        }
        lines
    }

    /// Looks after what jobs have on disk, until the executor is gone.
    pub fn watch_space(self: &Arc<Self>) {
        space::watch(self);
    }

    fn lock_of(&self, job: JobId) -> Arc<Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry(job).or_default())
    }
}
