//! The executor's own policy: what may be asked for at all, set by root, not by the master.
use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::net::{Pool, not_public};
use crate::executor::unpack::Bounds;
use crate::executor::{ExecutorError, HostEntry, Limits, StepKind, StepSpec};

/// Bounds that hold whatever the master asks for. Mounts, devices and networks of others can't be asked for: the plan has no
/// word for them.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The pseudo-image `host` may be used.
    pub host_image: bool,
    /// The most that one container may be given.
    pub ceiling: Limits,
    /// The longest log of one step attempt, in bytes.
    pub log_bytes: u64,
    /// The most that a layer of an image may unpack to.
    pub unpack: Bounds,
    /// Directories of this machine that every step sees and may write to: from, and to in the container.
    pub binds: Vec<(PathBuf, String)>,
    /// Where links of jobs get their addresses.
    pub egress_pool: Pool,
    /// Networks that are not the internet's and that names may lead jobs to all the same.
    pub egress_private: Vec<Pool>,
    /// Capabilities beyond the usual that a step may ask for, such as `SETFCAP`.
    pub allow: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            host_image: false,
            ceiling: Limits { cpu: 256.0, memory_bytes: 1 << 40, pids: 65_536 },
            log_bytes: 64 << 30,
            unpack: Bounds::default(),
            binds: Vec::new(),
            egress_pool: Pool::default(),
            egress_private: Vec::new(),
            allow: Vec::new(),
        }
    }
}

/// The uid and gid within the container.
pub(super) type Ids = (Option<u32>, Option<u32>);

impl Policy {
    /// Checks a step against the bounds; gives the numeric user it asks for.
    pub(super) fn check(&self, spec: &StepSpec) -> Result<Ids, ExecutorError> {
        let denied = |what: String| Err(ExecutorError::PolicyDenied(what));
        if spec.pinned.is_none() && spec.image != "host" {
            return Err(ExecutorError::ImageUnavailable {
                image: shorten(&spec.image),
                reason: "the master did not say which layers it has".to_owned(),
            });
        }
        if spec.pinned.is_none() && !self.host_image {
            return denied("the image \"host\" is switched off on this server: who runs it sets `host_image = true` in the table [executor] of danube.toml and restarts it".to_owned());
        }
        let limits = &spec.limits;
        if !(limits.cpu.is_finite() && limits.cpu >= 0.0 && limits.cpu <= self.ceiling.cpu) {
            return denied(format!("cpu = {} (the ceiling is {})", limits.cpu, self.ceiling.cpu));
        }
        if limits.memory_bytes > self.ceiling.memory_bytes || limits.memory_bytes < MIN_MEMORY {
            return denied(format!(
                "memory = {} bytes (from {MIN_MEMORY} up to the ceiling of {})",
                limits.memory_bytes, self.ceiling.memory_bytes
            ));
        }
        if limits.pids > self.ceiling.pids || limits.pids < 2 {
            return denied(format!("pids = {} (from 2 up to the ceiling of {})", limits.pids, self.ceiling.pids));
        }
        if let Some(name) = spec.caps.iter().find(|name| !self.allow.contains(name)) {
            return denied(format!(
                "the capability {}: who runs this server adds it to `allow` in the table [executor] of danube.toml and \
                 restarts it",
                shorten(name)
            ));
        }
        if spec.log_limit > self.log_bytes {
            return denied(format!("a log of {} bytes (the ceiling is {})", spec.log_limit, self.log_bytes));
        }
        if spec.kind == StepKind::Service && spec.argv.is_empty() {
            return Err(ExecutorError::User(format!(
                "the image \"{}\" has no program of its own that could run as a service",
                shorten(&spec.image)
            )));
        }
        if spec.argv.is_empty() || spec.argv.iter().any(|a| a.contains('\0')) {
            return Err(ExecutorError::User("a command must not be empty or contain NUL".to_owned()));
        }
        if (!spec.workdir.starts_with('/') && spec.kind != StepKind::Service) || spec.workdir.contains('\0') {
            return Err(ExecutorError::User(format!("workdir '{}' is not an absolute path", shorten(&spec.workdir))));
        }
        hosts(&spec.hosts)?;
        if spec.dns.is_some_and(|dns| not_public(dns).is_none()) {
            return denied("a nameserver outside the job".to_owned());
        }
        user(spec.user.as_deref())
    }

    /// Why no job may speak to an address; `own` are the machine's.
    pub(super) fn refuses(&self, address: Ipv4Addr, own: &[Ipv4Addr]) -> Option<&'static str> {
        if own.contains(&address) {
            return Some("an address of this machine");
        }
        // Links and services of other jobs.
        if self.egress_pool.holds(address) {
            return Some("an address of a job");
        }
        not_public(address).filter(|_| !self.egress_private.iter().any(|network| network.holds(address)))
    }
}

/// The least memory that a container starts with.
const MIN_MEMORY: u64 = 6 << 20;

/// They become a file that every program reads: nothing but names may come in.
fn hosts(entries: &[HostEntry]) -> Result<(), ExecutorError> {
    let good = |name: &String| {
        (1..=253).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    };
    let wrong = |entry: &&HostEntry| {
        entry.names.is_empty() || !entry.names.iter().all(good) || not_public(entry.address).is_none()
    };
    match entries.iter().find(wrong) {
        Some(entry) => Err(ExecutorError::PolicyDenied(format!("an entry of /etc/hosts for {}", entry.address))),
        None => Ok(()),
    }
}

pub(super) fn user(text: Option<&str>) -> Result<Ids, ExecutorError> {
    let Some(text) = text else { return Ok((None, None)) };
    let wrong = || ExecutorError::User(format!("user '{}' is not a number or uid:gid below 65536", shorten(text)));
    let number = |t: &str| t.parse::<u16>().map(u32::from).map_err(|_| wrong());
    match text.split_once(':') {
        Some((uid, gid)) => Ok((Some(number(uid)?), Some(number(gid)?))),
        None => {
            let uid = number(text)?;
            Ok((Some(uid), Some(uid)))
        }
    }
}

fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers_inside_the_range() {
        assert_eq!(user(Some("1000")).unwrap(), (Some(1000), Some(1000)));
        assert_eq!(user(Some("1:2")).unwrap(), (Some(1), Some(2)));
        for wrong in ["root", "65536", "-1", "1:", "1:2:3", ""] {
            assert!(user(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
