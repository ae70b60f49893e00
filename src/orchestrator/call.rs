//! A call of the SDK as it arrives: its key, its line, and what it asks for.
use std::collections::BTreeMap;
use std::time::Duration;

use crate::executor::Root;
use crate::model::cache::WriteRule;
use crate::model::call::{CallKey, Place};
use crate::model::step::Cause;

use super::CallError;

/// Where a call stands.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its journal key.
    pub key: CallKey,
    /// The line of the danubefile.
    pub place: Place,
}

impl Call {
    /// Reads what an SDK sent; `kind` is what the method stands for, and no other key may be used with it.
    pub fn parse(kind: &str, key: &str, file: &str, line: u32) -> Result<Self, CallError> {
        let key = CallKey::parse(key).map_err(|bad| CallError::Invalid(bad.to_string()))?;
        if key.kind() != kind {
            return Err(CallError::Invalid(format!("the key '{key}' is not one of a call of kind '{kind}'")));
        }
        let file = file.chars().filter(|c| !c.is_control()).take(256).collect();
        Ok(Self { key, place: Place { file, line } })
    }
}

/// A value of `env=` or `files=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Plain text.
    Text(String),
    /// A secret, by name.
    Secret(String),
    /// What an earlier step with `capture="secret"` wrote, by its handle.
    Captured(String),
}

/// What becomes of a step's standard output beside its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Capture {
    /// Nothing.
    #[default]
    No,
    /// Its first 64 KiB, redacted, go back to the danubefile.
    Stdout,
    /// It is a secret: not logged, and a handle goes back.
    Secret,
}

/// Which ends of an attempt are tried again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retry {
    /// Further attempts.
    pub times: u32,
    /// After these ends.
    pub on: Vec<Cause>,
    /// The first pause; it doubles.
    pub backoff: Duration,
}

/// A cache as the danubefile names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Its name within the pipeline.
    pub name: String,
    /// Its paths, as they are written.
    pub paths: Vec<String>,
    /// What its content depends on; empty: the newest content of the name.
    pub key: String,
    /// Which jobs store it.
    pub write: WriteRule,
}

/// A step as the danubefile asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRequest {
    /// Run by `/bin/sh -c`.
    pub command: String,
    /// As people see it; empty: derived from the command.
    pub name: String,
    /// `host`, or a reference; empty: the default.
    pub image: String,
    /// Its environment.
    pub env: BTreeMap<String, Value>,
    /// Files made for it.
    pub files: BTreeMap<String, Value>,
    /// Where it starts; empty: `/workspace`.
    pub workdir: String,
    /// Which ends are tried again.
    pub retry: Retry,
    /// Its own bound of one attempt.
    pub timeout: Option<Duration>,
    /// What becomes of its standard output.
    pub capture: Capture,
    /// It must never run twice.
    pub once: bool,
    /// `uid` or `uid:gid`; none: the image's.
    pub user: Option<String>,
    /// Its root file system.
    pub root: Root,
    /// Cores; 0: the default.
    pub cpu: f64,
    /// Bytes; 0: the default.
    pub memory_bytes: u64,
    /// It asks for the network.
    pub network: bool,
    /// The danubefile goes on after a failure.
    pub allow_failure: bool,
    /// What it finds as an earlier step left it.
    pub caches: Vec<Cache>,
    /// Capabilities beside the usual ones, sorted.
    pub caps: Vec<String>,
    /// It builds an image: the master's own program instead of a shell.
    pub build: Option<Build>,
}

/// The build of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The builder and its arguments.
    pub(super) program: Vec<String>,
    /// The repository that it pushes to.
    pub(super) repository: String,
    /// The tag.
    pub(super) tag: String,
}

/// How a step ended, for the danubefile.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StepAnswer {
    /// How its last attempt ended.
    pub outcome: Cause,
    /// Its exit code.
    pub exit_code: i32,
    /// What `Capture::Stdout` kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdout: String,
    /// The handle of what `Capture::Secret` kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub captured: String,
    /// How long its last attempt ran.
    pub seconds: f64,
    /// Its last attempt, from 1.
    pub attempt: u32,
    /// Its number within the job.
    pub step: u32,
    /// Why it failed; empty on success.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_kind_is_refused() {
        assert!(Call::parse("run", "/run#0", "danubefile.py", 3).is_ok());
        let error = Call::parse("run", "/machine#0", "danubefile.py", 3).unwrap_err();
        assert_eq!(error, CallError::Invalid("the key '/machine#0' is not one of a call of kind 'run'".to_owned()));
    }
}
