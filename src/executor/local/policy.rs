//! The executor's own policy: what may be asked for at all, set by root, not by the master.
use std::path::PathBuf;

use crate::executor::{ExecutorError, Limits, StepSpec};

/// Bounds that hold whatever the master asks for. Mounts, devices and networks can't be asked for: the plan has no
/// word for them.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The pseudo-image `host` may be used.
    pub host_image: bool,
    /// The most that one container may be given.
    pub ceiling: Limits,
    /// The longest log of one step attempt, in bytes.
    pub log_bytes: u64,
    /// Directories of this machine that every step sees and may write to: from, and to in the container.
    pub binds: Vec<(PathBuf, String)>,
    /// Capabilities beyond the usual that a step may ask for, such as `SETFCAP`.
    pub allow: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            host_image: false,
            ceiling: Limits { cpu: 256.0, memory_bytes: 1 << 40, pids: 65_536 },
            log_bytes: 64 << 30,
            binds: Vec::new(),
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
        if spec.image != "host" {
            return Err(ExecutorError::ImageUnavailable {
                image: shorten(&spec.image),
                reason: "this release runs steps on the image \"host\" alone; registries come with the next one"
                    .to_owned(),
            });
        }
        if !self.host_image {
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
        if spec.argv.is_empty() || spec.argv.iter().any(|a| a.contains('\0')) {
            return Err(ExecutorError::User("a command must not be empty or contain NUL".to_owned()));
        }
        if !spec.workdir.starts_with('/') || spec.workdir.contains('\0') {
            return Err(ExecutorError::User(format!("workdir '{}' is not an absolute path", shorten(&spec.workdir))));
        }
        user(spec.user.as_deref())
    }
}

/// The least memory that a container starts with.
const MIN_MEMORY: u64 = 6 << 20;

fn user(text: Option<&str>) -> Result<Ids, ExecutorError> {
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
